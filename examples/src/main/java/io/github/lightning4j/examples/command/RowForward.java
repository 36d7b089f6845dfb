package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.Session;
import java.util.Arrays;

/**
 * Runs each row of a batch in a session of its own, as if its pads were not there, in chunks whose
 * states carry over.
 *
 * @param model the model
 * @param chunk the most tokens at once
 * @param outLogits {@code [B, T, V]}; pads are left as they are
 * @param hidden gets the inside of the passes
 */
record RowForward(MiniMaxModel model, int chunk, Tensor outLogits, HiddenStates hidden) {
  /** Runs all rows. */
  void run(TokenRows rows) {
    for (int row = 0; row < rows.batch(); row++) {
      int number = row;
      try (Session session = model.newSession()) {
        rows.runs().stream().filter(run -> run.row() == number).forEach(run -> run(session, run));
      }
    }
  }

  private void run(Session session, TokenRows.Run run) {
    for (int done = 0; done < run.ids().length; ) {
      int count = Math.min(chunk, run.ids().length - done);
      int[] ids = Arrays.copyOfRange(run.ids(), done, done + count);
      int place = run.from() + done;
      Tensor out = outLogits.select(0, run.row()).narrow(0, place, count);
      session.forward(ids, hidden.at(run.row(), place, count), out);
      done += count;
    }
  }
}
