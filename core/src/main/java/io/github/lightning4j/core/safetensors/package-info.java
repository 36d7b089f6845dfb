/**
 * Checkpoints in the safetensors format: reading without a copy, and writing.
 *
 * <p>A safetensors file is eight bytes with the length of a header (little-endian), the header
 * (JSON that gives each tensor its element type, shape and place), and the data of all tensors
 * without gaps. {@link io.github.lightning4j.core.safetensors.SafetensorsFile} checks all that the
 * header says when it opens the file, maps the file into memory, and gives each tensor as a view of
 * the mapping: opening reads the header only, the system reads weights when they are first touched.
 *
 * <p>A big model is cut into shards, listed by {@code model.safetensors.index.json}; {@link
 * io.github.lightning4j.core.safetensors.ShardedSafetensors} reads them as one, and {@link
 * io.github.lightning4j.core.safetensors.SafetensorsIndex} tells what should be where even if no
 * shard is there. {@link io.github.lightning4j.core.safetensors.Safetensors#open} takes either.
 *
 * <p>Whatever is wrong with a file is a {@link io.github.lightning4j.core.CheckpointException} that
 * names the file, the tensor, what was expected and what came. The format: <a
 * href="https://github.com/huggingface/safetensors">huggingface/safetensors</a>.
 */
@NullMarked
package io.github.lightning4j.core.safetensors;

import org.jspecify.annotations.NullMarked;
