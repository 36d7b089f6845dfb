/**
 * The {@code minimax} command.
 *
 * <p>{@link io.github.lightning4j.examples.command.Minimax} knows the seven commands, one class
 * each; what several of them share (options, the open model, progress, faults) has a class of its
 * own. Results go to standard output, remarks to standard error, and a fault is one line and an
 * exit code.
 */
@NullMarked
package io.github.lightning4j.examples.command;

import org.jspecify.annotations.NullMarked;
