package io.github.lightning4j.kvquant.policy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class TokenAgeingTest {
  private static final TokenPolicy WINDOW = TokenPolicy.NONE.withRecentWindow(16, 4);

  private static void collect(List<Long> to, TokenAgeing.Leaving leaving) {
    for (long t = leaving.from(); t < leaving.to(); t++) {
      to.add(t);
    }
  }

  private static List<Long> range(long to) {
    List<Long> tokens = new ArrayList<>();
    collect(tokens, new TokenAgeing.Leaving(0, to));
    return tokens;
  }

  @Test
  void everyTokenLeavesOnceHoweverTheSequenceWasCut() {
    Random random = new Random(1);
    for (int trial = 0; trial < 50; trial++) {
      var ageing = new TokenAgeing(WINDOW);
      List<Long> left = new ArrayList<>();
      while (ageing.length() < 300) {
        TokenAgeing.Leaving leaving = ageing.append(random.nextInt(trial + 2));
        assertThat(leaving.count() % 4).isZero();
        collect(left, leaving);
        long expected = Math.max(0, (ageing.length() - 16) / 4 * 4);
        assertThat(ageing.left()).isEqualTo(Math.max(0, expected));
        assertThat(ageing.length() - ageing.left()).isBetween(Math.min(16, ageing.length()), 19L);
      }
      assertThat(left).isEqualTo(range(ageing.left()));
    }
  }

  @Test
  void withoutAWindowTokensLeaveAtOnce() {
    var ageing = new TokenAgeing(TokenPolicy.NONE);
    assertThat(ageing.append(5)).isEqualTo(new TokenAgeing.Leaving(0, 5));
    assertThat(ageing.append(1)).isEqualTo(new TokenAgeing.Leaving(5, 6));
    assertThat(ageing.append(0).count()).isZero();
  }

  @Test
  void aStagedPromptLeavesWhenItEndsWhateverItsChunks() {
    for (int chunk : new int[] {1, 3, 64, 100}) {
      var ageing = new TokenAgeing(WINDOW.withMassiveActivations(3));
      ageing.beginPrompt();
      for (int t = 0; t < 100; t += chunk) {
        assertThat(ageing.append(Math.min(chunk, 100 - t)).count()).isZero();
      }
      assertThat(ageing.sinks(new long[] {2, 90, 50})).isEmpty();
      assertThat(ageing.endPrompt()).isEqualTo(new TokenAgeing.Leaving(0, 84));
      assertThat(ageing.isSink(2)).isTrue();
      assertThat(ageing.isSink(50)).isTrue();
      assertThat(ageing.isSink(90)).isTrue();
      assertThat(ageing.isSink(51)).isFalse();
    }
  }

  @Test
  void aSinkFoundTooLateStaysQuantizedAndAFormerOneIsQuantizedLate() {
    var ageing = new TokenAgeing(WINDOW.withFirstTokens(2));
    ageing.append(10);
    assertThat(ageing.sinks(new long[] {1, 5, 6})).isEmpty();
    ageing.append(40); // 5 and 6 leave the window and stay exact
    assertThat(ageing.left()).isEqualTo(32);
    assertThat(ageing.sinks(new long[] {6, 20, 40})).containsExactly(5L); // 1 is a first token
    assertThat(ageing.isSink(20)).isFalse();
    assertThat(ageing.isSink(40)).isTrue();
    assertThat(ageing.isSink(5)).isFalse();
    assertThat(ageing.isSink(1)).isTrue();
    assertThat(ageing.sinks(new long[] {5, 6, 40})).isEmpty();
    assertThat(ageing.isSink(5)).isFalse(); // never back
  }

  @Test
  void decodingAddsNoSinks() {
    var ageing = new TokenAgeing(TokenPolicy.NONE.withMassiveActivations(20));
    ageing.beginPrompt();
    ageing.append(30);
    ageing.sinks(new long[] {4});
    ageing.endPrompt();
    for (int i = 0; i < 100; i++) {
      TokenAgeing.Leaving leaving = ageing.append(1);
      assertThat(leaving.count()).isEqualTo(1);
      assertThat(ageing.isSink(leaving.from())).isFalse();
    }
  }

  @Test
  void truncatedTokensLeaveAgainAndOthersDoNot() {
    var ageing = new TokenAgeing(WINDOW);
    ageing.append(100);
    ageing.sinks(new long[] {90, 99});
    ageing.truncate(95);
    assertThat(ageing.left()).isEqualTo(84);
    assertThat(ageing.append(2).count()).isZero(); // 97 tokens, 84 of which had left before
    ageing.truncate(50);
    assertThat(ageing.left()).isEqualTo(50);
    assertThat(ageing.isSink(90)).isFalse();
    assertThat(ageing.append(10).count()).isZero();
    assertThat(ageing.append(10)).isEqualTo(new TokenAgeing.Leaving(50, 52));
  }

  @Test
  void aForkGoesItsOwnWay() {
    var ageing = new TokenAgeing(WINDOW);
    ageing.append(40);
    ageing.sinks(new long[] {30});
    TokenAgeing fork = ageing.fork();
    fork.append(100);
    fork.truncate(3);
    assertThat(ageing.length()).isEqualTo(40);
    assertThat(ageing.left()).isEqualTo(24);
    assertThat(ageing.isSink(30)).isTrue();
    assertThat(fork.isSink(30)).isFalse();
  }

  @Test
  void refusesWhatMakesNoSense() {
    var ageing = new TokenAgeing(WINDOW);
    ageing.append(3);
    assertThatThrownBy(() -> ageing.append(-1)).hasMessage("tokens: expected >= 0, got -1");
    assertThatThrownBy(() -> ageing.truncate(4)).hasMessage("newLength: expected 0 to 3, got 4");
    assertThatThrownBy(() -> ageing.sinks(new long[] {3}))
        .hasMessage("tokens: expected 0 <= token < 3, got 3");
    assertThatThrownBy(ageing::endPrompt).isInstanceOf(IllegalStateException.class);
    ageing.beginPrompt();
    assertThatThrownBy(ageing::beginPrompt)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("a prompt has begun already; end it first");
  }
}
