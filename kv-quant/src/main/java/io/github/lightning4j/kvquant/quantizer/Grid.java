package io.github.lightning4j.kvquant.quantizer;

/** Where the values lie that the codes of a group stand for. */
public sealed interface Grid permits AffineGrid, LloydMaxGrid {}
