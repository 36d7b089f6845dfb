package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.minimax.internal.TokenBatch;
import java.util.List;

/** One decode step of several sessions: all are entered, or none. */
final class SessionGroup {
  private SessionGroup() {}

  static void decode(List<Session> sessions, int[] ids) {
    checkArgument(
        sessions.size() == ids.length && ids.length > 0,
        "ids: expected one for each of %s sessions, got %s",
        sessions.size(),
        ids.length);
    for (int i = 0; i < ids.length; i++) {
      checkArgument(
          sessions.get(i).model() == sessions.get(0).model(),
          "sessions[%s]: expected a session of the same model as the first",
          i);
      sessions.get(i).checkTokens(new int[] {ids[i]});
    }
    int entered = 0;
    boolean whole = false;
    try {
      for (Session session : sessions) {
        session.enter();
        entered++;
      }
      Session.step(
          TokenBatch.ofSteps(sessions.stream().map(Session::state).toList(), ids), sessions);
      whole = true;
    } finally {
      // A session that could not be entered leaves the others as they were.
      boolean intact = whole || entered < sessions.size();
      for (int i = 0; i < entered; i++) {
        sessions.get(i).leave(intact);
      }
    }
  }
}
