package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.cispo.head.HeadGradients;
import io.github.lightning4j.cispo.head.HeadInput;
import io.github.lightning4j.cispo.head.HeadOutput;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import java.lang.ref.Reference;
import org.jspecify.annotations.Nullable;

/** The kernels of {@code head_kernels.h}, cut into units for threads and into blocks for memory. */
final class CpuHead implements HeadKernels {
  // As in head_call.h and packed_product.h.
  private static final long RANGE_WORDS = 4096;
  private static final long TILE_A = 480;
  private static final long TILE_B = 512;
  private static final long SCRATCH_BYTES = 4 * ((TILE_A + TILE_B) * 256 + 16);
  private static final long TILE_BYTES = 4 * TILE_A * TILE_B;

  /** The most logits whose gradient is in memory at a time: 32 MiB. */
  private static final long BLOCK_ELEMENTS = 8 << 20;

  private static final long BLOCK_TOKENS = 9 * TILE_A;

  /** Tokens that one thread merges at least. */
  private static final long MERGED = 64;

  @Override
  public void forward(HeadInput input, HeadOutput out) {
    long tokens = input.tokens();
    long ranges = ceilDiv(input.vocabulary(), RANGE_WORDS);
    try (MemoryScope scope = new MemoryScope();
        ScratchPool scratch = new ScratchPool(SCRATCH_BYTES + TILE_BYTES)) {
      Fields fields = new Fields(scope, input, out);
      fields.partials = scope.allocate(DType.F32, ranges, tokens, 3).address();
      fields.targetLogit = scope.allocate(DType.F32, tokens).address();
      long call = fields.write();
      scratch.forUnits(
          ranges * ceilDiv(tokens, TILE_A),
          (from, to, at) -> CispoKernels.forward(call, from, to, at));
      Threads.forRanges(tokens, MERGED, (from, to) -> CispoKernels.merge(call, from, to));
    } finally {
      Reference.reachabilityFence(input);
      Reference.reachabilityFence(out);
    }
  }

  @Override
  public void backward(HeadInput input, HeadOutput forward, HeadGradients gradients) {
    long tokens = Math.min(input.tokens(), BLOCK_TOKENS);
    if (tokens == 0) {
      clear(gradients);
      return;
    }
    long words = blockWords(tokens, input.vocabulary());
    try (MemoryScope scope = new MemoryScope();
        ScratchPool scratch = new ScratchPool(SCRATCH_BYTES)) {
      Fields fields = new Fields(scope, input, forward);
      fields.dLogits = scope.allocate(DType.F32, tokens, words).address();
      fields.gradients = gradients;
      Backward backward = new Backward(fields.write(), gradients, input.width(), scratch);
      for (long token = 0; token < input.tokens(); token += tokens) {
        for (long word = 0; word < input.vocabulary(); word += words) {
          backward.block(
              token,
              Math.min(tokens, input.tokens() - token),
              word,
              Math.min(words, input.vocabulary() - word));
        }
      }
    } finally {
      Reference.reachabilityFence(input);
      Reference.reachabilityFence(forward);
      Reference.reachabilityFence(gradients);
    }
  }

  private static long blockWords(long tokens, long vocabulary) {
    return Math.min(vocabulary, Math.max(1, BLOCK_ELEMENTS / tokens / TILE_B) * TILE_B);
  }

  /** What a call allocates beside a few KB: the larger of both passes. */
  static long mostBytes(long tokens, long vocabulary, int threads) {
    long pieces = Math.min(threads, ScratchPool.MOST);
    long forward = pieces * (SCRATCH_BYTES + TILE_BYTES);
    forward += 4 * tokens * (3 * ceilDiv(vocabulary, RANGE_WORDS) + 1);
    long block = Math.min(tokens, BLOCK_TOKENS);
    long backward = pieces * SCRATCH_BYTES + 4 * block * blockWords(block, vocabulary);
    return Math.max(forward, backward);
  }

  private static void clear(HeadGradients gradients) {
    Tensor dHead = gradients.outDHead();
    if (dHead != null && !gradients.addToDHead()) {
      for (long v = 0; v < dHead.size(0); v++) {
        Tensor row = dHead.select(0, v);
        row.pointer().zero();
      }
    }
  }

  /** Goes through the blocks; the first of a row of blocks writes, those behind it add. */
  private record Backward(long call, HeadGradients wanted, long width, ScratchPool scratch) {
    void block(long token, long tokens, long word, long words) {
      scratch.forUnits(
          units(tokens, words),
          (from, to, at) -> CispoKernels.dLogits(call, token, tokens, word, words, from, to, at));
      if (wanted.outDHidden() != null) {
        int add = word > 0 ? 1 : 0;
        scratch.forUnits(
            units(tokens, width),
            (from, to, at) ->
                CispoKernels.dHidden(call, token, tokens, word, words, add, from, to, at));
      }
      if (wanted.outDHead() != null) {
        int add = token > 0 || wanted.addToDHead() ? 1 : 0;
        scratch.forUnits(
            units(words, width),
            (from, to, at) ->
                CispoKernels.dHead(call, token, tokens, word, words, add, from, to, at));
      }
    }

    private static long units(long rows, long columns) {
      return ceilDiv(rows, TILE_A) * ceilDiv(columns, TILE_B);
    }
  }

  /** The fields of {@code HeadCall} in {@code head_call.h}. */
  private static final class Fields {
    private final MemoryScope scope;
    private final HeadInput input;
    private final HeadOutput output;
    private long partials;
    private long targetLogit;
    private long dLogits;
    private @Nullable HeadGradients gradients;

    Fields(MemoryScope scope, HeadInput input, HeadOutput output) {
      this.scope = scope;
      this.input = input;
      this.output = output;
    }

    /** The address of the struct, which lives as long as the scope. */
    long write() {
      int[] targets = Targets.copy(input.targets(), input.vocabulary());
      Tensor dHidden = gradients == null ? null : gradients.outDHidden();
      Tensor dHead = gradients == null ? null : gradients.outDHead();
      long[] fields = {
        input.hidden().dtype().ordinal(),
        input.hidden().address(),
        input.hidden().stride(0),
        input.head().dtype().ordinal(),
        input.head().address(),
        input.head().stride(0),
        input.tokens(),
        input.vocabulary(),
        input.width(),
        Double.doubleToRawLongBits(1 / input.temperature()),
        scope.add(Tensor.of(targets, targets.length)).address(),
        partials,
        targetLogit,
        output.logProb().address(),
        output.logSumExp().address(),
        address(output.entropy()),
        gradients == null ? 0 : gradients.dLogProb().address(),
        gradients == null ? 0 : address(gradients.dEntropy()),
        dLogits,
        address(dHidden),
        dHidden == null ? 0 : dHidden.stride(0),
        address(dHead),
        dHead == null ? 0 : dHead.stride(0)
      };
      return scope.add(Tensor.of(fields, fields.length)).address();
    }

    private static long address(@Nullable Tensor tensor) {
      return tensor == null ? 0 : tensor.address();
    }
  }

  private static long ceilDiv(long a, long b) {
    return (a + b - 1) / b;
  }
}
