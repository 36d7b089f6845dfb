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
        assertThat(order.groups()).isEqualTo(Math.min(wanted, perRank));
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
        assertThat(seen).hasSize(3 * perRank);
      }
    }
  }
}
