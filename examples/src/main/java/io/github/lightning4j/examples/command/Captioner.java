package io.github.lightning4j.examples.command;

import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.ProgressListener;
import io.github.lightning4j.minimax.Session;
import io.github.lightning4j.minimax.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;

/**
 * Says of pictures what is likeliest, token by token.
 *
 * @param model of the MiniMax-VL-01 kind
 * @param tokenizer its tokenizer
 * @param stop a caption ends before this
 * @param most tokens of a caption
 */
record Captioner(MiniMaxModel model, Tokenizer tokenizer, String stop, int most) {
  /**
   * What came of it.
   *
   * @param text the caption, without the stop
   * @param bits an element takes beyond sinks and recent tokens, metadata included; 0 where nothing
   *     is packed
   * @param storedBits an element takes on average, sinks and recent tokens included
   * @param bytes of the pages of all caches at its end
   * @param tokens of prompt and caption that are in them
   */
  record Caption(String text, double bits, double storedBits, long bytes, long tokens) {}

  /** The caption behind an open prompt, with key-value caches of a format. */
  Caption caption(ImagePrompt prompt, KvCacheFormat format) {
    try (Session session = model.newSession(format)) {
      float[] logits = session.prefill(prompt, ProgressListener.NONE);
      List<Integer> ids = new ArrayList<>();
      String text = "";
      while (ids.size() < most && !text.contains(stop)) {
        int id = likeliest(logits);
        ids.add(id);
        text = tokenizer.decode(ids.stream().mapToInt(i -> i).toArray());
        logits = session.decode(id);
      }
      int end = text.indexOf(stop);
      return new Caption(
          end < 0 ? text : text.substring(0, end),
          session.packedBitsPerElement(),
          session.storedBitsPerElement(),
          session.cacheBytes(),
          session.position());
    }
  }

  private static int likeliest(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }
}
