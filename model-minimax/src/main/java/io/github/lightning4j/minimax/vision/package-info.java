/**
 * Pictures for MiniMax-VL-01: reading PNG and JPEG, any-resolution tiling, and what the vision side
 * of a checkpoint says of itself.
 */
@NullMarked
package io.github.lightning4j.minimax.vision;

import org.jspecify.annotations.NullMarked;
