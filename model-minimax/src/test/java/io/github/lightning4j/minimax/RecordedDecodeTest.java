package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.minimax.internal.HostEngine;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Steps of the same sessions are recorded, those of sessions in turn are not: the same bits. */
final class RecordedDecodeTest {
  private static int[] ids(MiniMaxModel model, int seed, int length) {
    int vocabulary = model.config().vocabSize();
    return IntStream.range(0, length).map(i -> (i + seed) * (37 + seed) % vocabulary).toArray();
  }

  /** The logits of each step of sessions that take turns, so that none is recorded. */
  private static float[][][] inTurn(List<Session> sessions, int[][] ids) {
    float[][][] logits = new float[ids[0].length][sessions.size()][];
    for (int step = 0; step < ids[0].length; step++) {
      for (int i = 0; i < sessions.size(); i++) {
        logits[step][i] = sessions.get(i).decode(ids[i][step]).clone();
      }
    }
    return logits;
  }

  private static List<Session> sessions(MiniMaxModel model, int count) {
    List<Session> sessions = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      sessions.add(model.newSession());
      sessions.get(i).prefill(ids(model, i, 3 + 11 * i));
    }
    return sessions;
  }

  private static void check(MiniMaxModel model) {
    int[][] ids = {ids(model, 5, 6), ids(model, 6, 6), ids(model, 7, 6)};
    List<Session> turns = sessions(model, 3);
    List<Session> together = turns.stream().map(Session::fork).toList();
    List<Session> alone = turns.stream().map(Session::fork).toList();
    float[][][] expected = inTurn(turns, ids);
    for (int i = 0; i < 3; i++) {
      for (int step = 0; step < 6; step++) {
        assertThat(alone.get(i).decode(ids[i][step])).isEqualTo(expected[step][i]);
      }
    }
    for (int step = 0; step < 6; step++) {
      int at = step;
      Session.decode(together, Arrays.stream(ids).mapToInt(each -> each[at]).toArray());
      for (int i = 0; i < 3; i++) {
        assertThat(together.get(i).logits()).isEqualTo(expected[step][i]);
      }
    }
    turns.forEach(Session::close);
    together.forEach(Session::close);
    alone.forEach(Session::close);
  }

  static List<ModelFixture> fixtures() {
    return ModelFixture.all();
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void givesTheBitsOfStepsInTurn(ModelFixture fixture) {
    try (MiniMaxModel model = MiniMaxModel.load(fixture.folder())) {
      check(model);
    }
  }

  @Test
  void givesTheBitsOfStepsInTurnInEveryFormatAndWithAnyThreads() {
    int before = Threads.count();
    try {
      for (String weights : List.of("bf16", "int8", "int4")) {
        LoadOptions options = LoadOptions.DEFAULT.withWeights(WeightFormats.parse(weights));
        try (MiniMaxModel model = MiniMaxModel.load(Nano.FOLDER, options)) {
          for (int threads : new int[] {1, 2, 3}) {
            Threads.use(threads);
            check(model);
          }
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void promptsForksAndOtherSessionsMayComeBetween() {
    try (MiniMaxModel model = Nano.load();
        Session recorded = model.newSession();
        Session other = model.newSession()) {
      int[] ids = ids(model, 3, 40);
      recorded.prefill(Arrays.copyOf(ids, 10));
      List<float[]> expected = new ArrayList<>();
      try (Session plain = recorded.fork()) {
        for (int i = 10; i < 40; i++) {
          expected.add(plain.decode(ids[i]).clone());
          other.decode(ids[i]); // so that the next step is not recorded
        }
      }
      for (int i = 10; i < 40; i++) {
        if (i == 20) {
          recorded.fork().close();
          other.prefill(ids); // scratch memory grows
        }
        assertThat(recorded.decode(ids[i])).as("token %s", i).isEqualTo(expected.get(i - 10));
      }
    }
  }

  private static boolean isRecorded(MiniMaxModel model) {
    boolean[] recorded = new boolean[1];
    model.run(engine -> recorded[0] = ((HostEngine) engine).isRecorded());
    return recorded[0];
  }

  @Test
  void recordsStepsThatFollowOnesOfTheSameSessions() {
    try (MiniMaxModel model = Nano.load();
        Session session = model.newSession();
        Session other = model.newSession()) {
      session.prefill(ids(model, 3, 20));
      assertThat(isRecorded(model)).as("a prompt").isFalse();
      session.decode(7);
      assertThat(isRecorded(model)).as("behind its prompt").isTrue();
      session.decode(8);
      assertThat(isRecorded(model)).isTrue();
      session.prefill(1, 2);
      assertThat(isRecorded(model)).as("two tokens").isFalse();
      other.prefill(ids(model, 4, 5));
      session.decode(9);
      assertThat(isRecorded(model)).as("once recorded, kept while others read").isTrue();
      Session.decode(List.of(session, other), new int[] {1, 2});
      assertThat(isRecorded(model)).as("another group").isFalse();
      Session.decode(List.of(session, other), new int[] {3, 4});
      assertThat(isRecorded(model)).isTrue();
    }
  }

  @Test
  void closedModelsKeepNoMemoryOfRecordedSteps() {
    long before = Memory.liveBytes();
    for (int i = 0; i < 2; i++) {
      try (MiniMaxModel model = Nano.load()) {
        check(model);
      }
      assertThat(Memory.liveBytes()).isEqualTo(before);
    }
  }
}
