package io.github.lightning4j.examples.command;

import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.ProgressListener;
import io.github.lightning4j.minimax.Session;
import io.github.lightning4j.vlmquant.AttentionMass;
import io.github.lightning4j.vlmquant.TokenClass;
import io.github.lightning4j.vlmquant.VlmAccount;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** Answers about pictures with caches of several formats, held against those of the first. */
final class PictureRun {
  /** What adds up of a format over all prompts. */
  private static final class Sums {
    private final PictureQuality.Sums quality = new PictureQuality.Sums();
    private final Map<TokenClass, Long> classes = new EnumMap<>(TokenClass.class);
    private long bytes;
    private double storedBits; // times tokens
    private long tokens;

    void add(Session session) {
      bytes += session.cacheBytes();
      storedBits += session.storedBitsPerElement() * session.position();
      tokens += session.position();
      for (VlmAccount account : session.accounts()) {
        for (TokenClass tokenClass : TokenClass.values()) {
          long held = account.payloadBytes(tokenClass) + account.metadataBytes(tokenClass);
          classes.merge(tokenClass, held, Long::sum);
        }
      }
    }

    PictureReport.Row row(String name) {
      return new PictureReport.Row(name, quality.quality(), bytes, classes, storedBits / tokens);
    }
  }

  private final MiniMaxModel model;
  private final List<KvCacheFormat> formats;
  private final int steps;
  private final List<Sums> sums = new ArrayList<>();

  /**
   * Before the first prompt.
   *
   * @param formats the first is the base of the others
   * @param steps tokens of an answer
   */
  PictureRun(MiniMaxModel model, List<KvCacheFormat> formats, int steps) {
    this.model = model;
    this.formats = formats;
    this.steps = steps;
    formats.forEach(format -> sums.add(new Sums()));
  }

  /** Answers a prompt in all formats, and looks where the answer looks. */
  void add(ImagePrompt prompt, List<AttentionMass> masses) {
    int[] answer = new int[steps];
    float[][] base = new float[steps][];
    for (int i = 0; i < formats.size(); i++) {
      try (Session session = model.newSession(formats.get(i))) {
        session.prefill(prompt, ProgressListener.NONE);
        if (i > 0) {
          caption(session, answer, sums.get(i));
        }
        for (int step = 0; step < steps; step++) {
          if (i == 0) {
            base[step] = session.logits().clone();
            answer[step] = best(base[step]);
            sums.get(i).quality.addCaption(answer[step], answer[step]);
          }
          sums.get(i).quality.add(base[step], session.logits());
          session.decode(answer[step]);
        }
        sums.get(i).add(session);
      }
    }
    look(prompt, answer, masses);
  }

  /** Writes freely, on a fork. */
  private static void caption(Session session, int[] answer, Sums sums) {
    try (Session free = session.fork()) {
      for (int expected : answer) {
        int id = best(free.logits());
        sums.quality.addCaption(expected, id);
        free.decode(id);
      }
    }
  }

  private void look(ImagePrompt prompt, int[] answer, List<AttentionMass> masses) {
    MassObserver observer = new MassObserver(model.config());
    try (Session session = model.newSession(KvCacheFormat.F32)) {
      session.observe(prompt, observer);
      observer.endPrompt();
      for (int id : answer) {
        session.observe(new int[] {id}, observer);
      }
    }
    observer.addTo(masses, prompt.classes());
  }

  private static int best(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }

  /** What came of all prompts. */
  List<PictureReport.Row> rows() {
    List<PictureReport.Row> rows = new ArrayList<>();
    for (int i = 0; i < formats.size(); i++) {
      rows.add(sums.get(i).row(formats.get(i).name()));
    }
    return rows;
  }
}
