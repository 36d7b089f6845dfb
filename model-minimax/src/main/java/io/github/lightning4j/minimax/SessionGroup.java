package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.minimax.internal.TokenBatch;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** One step of several sessions: all are entered, or none. */
final class SessionGroup {
  /**
   * What a session reads in a step.
   *
   * @param session reads
   * @param ids the tokens
   * @param drafts where all but the first are guesses: gets the logits after each; the session
   *     stays entered until {@link Session#commit}. Null: all are certain
   */
  record Turn(Session session, int[] ids, @Nullable Drafts drafts) {}

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
    boolean whole = false;
    try {
      for (Turn turn : turns) {
        turn.session().enter();
        entered++;
      }
      step(first, turns);
      whole = true;
    } finally {
      // A session that could not be entered leaves the others as they were.
      boolean intact = whole || entered < turns.size();
      for (Turn turn : turns.subList(0, entered)) {
        if (!whole || turn.drafts() == null) {
          turn.session().leave(intact);
        }
      }
    }
  }

  private static void step(Session any, List<Turn> turns) {
    TokenBatch batch = new TokenBatch();
    List<float[]> logits = new ArrayList<>();
    for (Turn turn : turns) {
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
  }
}
