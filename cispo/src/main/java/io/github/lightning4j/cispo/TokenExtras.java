package io.github.lightning4j.cispo;

import org.jspecify.annotations.Nullable;

/** What not every batch of tokens has; its arrays belong to it. */
record TokenExtras(
    double @Nullable [][] reference,
    double @Nullable [][] importance,
    double @Nullable [][] entropies,
    int @Nullable [] groups,
    @Nullable BatchCounts global) {
  static final TokenExtras NONE = new TokenExtras(null, null, null, null, null);

  TokenExtras withReference(double[][] table) {
    return new TokenExtras(table, importance, entropies, groups, global);
  }

  TokenExtras withImportance(double[][] table) {
    return new TokenExtras(reference, table, entropies, groups, global);
  }

  TokenExtras withEntropies(double[][] table) {
    return new TokenExtras(reference, importance, table, groups, global);
  }

  TokenExtras withGroups(int[] ofSequences) {
    return new TokenExtras(reference, importance, entropies, ofSequences, global);
  }

  TokenExtras within(BatchCounts whole) {
    return new TokenExtras(reference, importance, entropies, groups, whole);
  }
}
