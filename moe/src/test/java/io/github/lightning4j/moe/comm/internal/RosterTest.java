package io.github.lightning4j.moe.comm.internal;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
final class RosterTest {
  private final Roster roster = new Roster(3);

  @Test
  void knowsWhoLeftACommunicatorThatIsUsedOrMayCome() {
    roster.keep(Set.of(Roster.WORLD, 4), 5);
    for (int context : new int[] {3, 4, 5}) {
      roster.apply(2, Notice.left(context, 7));
    }
    assertThat(missing(3)).isNull();
    assertThat(missing(4)).isNotNull();
    assertThat(missing(5)).isNotNull();
  }

  @Test
  void forgetsCommunicatorsThatAreClosedHere() {
    roster.apply(1, Notice.left(1, 7));
    roster.apply(1, Notice.left(Roster.WORLD, 9));
    assertThat(missing(1)).isNotNull();
    roster.keep(Set.of(Roster.WORLD), 2);
    assertThat(missing(1)).isNull();
    assertThat(roster.hasLeft(1)).isTrue();
  }

  @Test
  void waitsUntilAllHaveLeft() {
    roster.apply(1, Notice.left(Roster.WORLD, 3));
    int[] polls = {0};
    roster.awaitAllLeftBut(
        0,
        () -> {
          if (++polls[0] == 5) {
            roster.apply(2, Notice.left(Roster.WORLD, 3));
          }
        });
    assertThat(polls[0]).isEqualTo(6);
  }

  @Test
  void waitsNoLongerThanUntilOneHasFailed() {
    int[] polls = {0};
    roster.awaitAllLeftBut(
        0,
        () -> {
          if (++polls[0] == 5) {
            roster.failed(2, "gone");
          }
        });
    assertThat(polls[0]).isEqualTo(6);
  }

  private Roster.Failure missing(int context) {
    return roster.missing(new Group(context, new int[] {0, 1, 2}, 0), 7);
  }
}
