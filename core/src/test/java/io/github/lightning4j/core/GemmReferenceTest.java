package io.github.lightning4j.core;

final class GemmReferenceTest extends GemmContract {
  @Override
  Gemm gemm() {
    return Gemm.of(Backend.REFERENCE);
  }
}
