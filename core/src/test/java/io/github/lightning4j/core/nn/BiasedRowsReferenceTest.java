package io.github.lightning4j.core.nn;

import io.github.lightning4j.core.Backend;

final class BiasedRowsReferenceTest extends BiasedRowsContract {
  @Override
  BiasedRows rows() {
    return BiasedRows.of(Backend.REFERENCE);
  }
}
