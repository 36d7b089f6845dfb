package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.minimax.internal.TokenBatch;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** One step of several sessions: all are entered, or none. */
final class SessionGroup {
  /** What tokens are. */
  enum Reading {
    /** A part of a prompt, with more of it to come. */
    PROMPT_PART,
    /** A whole prompt, or the last of its parts. */
    PROMPT_END,
    /** None of a prompt: each reads what a step of decoding reads. */
    TEXT
  }

  /**
   * What a session reads in a step.
   *
   * @param session reads
   * @param ids the tokens
   * @param reading what they are
   * @param drafts where all but the first are guesses: gets the logits after each; the session
   *     stays entered until {@link Session#commit}. Null: all are certain
   */
  record Turn(Session session, int[] ids, Reading reading, @Nullable Drafts drafts) {}

  private SessionGroup() {}

  static void run(List<Turn> turns) {
    Session first = turns.get(0).session();
    for (int i = 0; i < turns.size(); i++) {
      Session session = turns.get(i).session();
      checkArgument(
          session.model() == first.model(),
          "sessions[%s]: expected a session of the same model as the first",
          i);
      session.checkTokens(turns.get(i).ids());
    }
    int entered = 0;
    boolean begun = false;
    boolean whole = false;
    try {
      for (Turn turn : turns) {
        turn.session().use().enter();
        entered++;
      }
      for (Turn turn : turns) {
        boolean ends = turn.reading() == Reading.PROMPT_END;
        turn.session().use().reserve(turn.ids().length, turn.drafts() != null, ends);
      }
      begun = true;
      step(first, turns);
      whole = true;
    } finally {
      // One that could not be entered, or finds no pages, leaves all as they were.
      boolean intact = whole || !begun;
      for (Turn turn : turns.subList(0, entered)) {
        if (!whole || turn.drafts() == null) {
          turn.session().use().leave(intact);
        }
      }
    }
  }

  private static void step(Session any, List<Turn> turns) {
    TokenBatch batch = new TokenBatch();
    List<float[]> logits = new ArrayList<>();
    for (Turn turn : turns) {
      if (turn.reading() != Reading.TEXT) {
        turn.session().use().beginPrompt(turn.ids().length, false);
        turn.session().state().promptEnds(turn.reading() == Reading.PROMPT_END);
      }
      batch.add(turn.session().state(), turn.ids(), turn.drafts());
      if (turn.drafts() == null) {
        logits.add(turn.session().logits());
      } else {
        for (int row = 0; row < turn.ids().length; row++) {
          logits.add(turn.drafts().logits(row));
        }
      }
    }
    any.step(batch, logits);
    for (Turn turn : turns) {
      if (turn.reading() == Reading.PROMPT_END) {
        turn.session().state().endPrompt();
      }
    }
  }
}
