package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class TokenGroupsTest {
  @Test
  void everyExpertOfEveryRankHasOneBucketInTheOrderOfGroupsAndRanks() {
    for (int perRank = 1; perRank <= 7; perRank++) {
      for (int wanted = 1; wanted <= 8; wanted++) {
        TokenGroups order = TokenGroups.of(wanted, 3, perRank);
        assertThat(order.groups()).isEqualTo(wanted);
        assertThat(order.parts()).isEqualTo(wanted <= perRank ? 1 : order.slots() / perRank);
        assertThat(order.slots()).isBetween(wanted, wanted + 2 * perRank);
        Set<Integer> seen = new HashSet<>();
        for (int group = 0; group < order.groups(); group++) {
          for (int rank = 0; rank < 3; rank++) {
            for (int slot = order.firstSlot(group); slot < order.firstSlot(group + 1); slot++) {
              assertThat(order.groupOf(slot)).isEqualTo(group);
              assertThat(order.bucket(group, rank, slot)).isEqualTo(seen.size());
              seen.add(order.bucket(group, rank, slot));
            }
          }
        }
        assertThat(seen).hasSize(3 * order.slots());
      }
    }
  }

  @Test
  void tokensAreCutOnlyIfThereAreMoreGroupsThanExperts() {
    TokenGroups whole = TokenGroups.of(3, 2, 4);
    TokenGroups cut = TokenGroups.of(6, 2, 4);
    for (int token = 0; token < 10; token++) {
      for (int expert = 0; expert < 4; expert++) {
        assertThat(whole.slot(expert, token, 10)).isEqualTo(expert);
        assertThat(cut.slot(expert, token, 10)).isEqualTo(token < 5 ? expert : 4 + expert);
        assertThat(cut.expert(cut.slot(expert, token, 10))).isEqualTo(expert);
      }
    }
  }
}
