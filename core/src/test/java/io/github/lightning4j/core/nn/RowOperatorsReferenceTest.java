package io.github.lightning4j.core.nn;

import io.github.lightning4j.core.Backend;

final class RowOperatorsReferenceTest extends RowOperatorsContract {
  @Override
  RowOperators rows() {
    return RowOperators.of(Backend.REFERENCE);
  }
}
