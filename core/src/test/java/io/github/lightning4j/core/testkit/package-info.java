/**
 * What every contract test uses: awkward sizes, seeded random tensors, the tolerance rules,
 * finite-difference gradients, and the check that memory stays flat.
 */
@NullMarked
package io.github.lightning4j.core.testkit;

import org.jspecify.annotations.NullMarked;
