package io.github.lightning4j.core;

final class QuantizedGemmReferenceTest extends QuantizedGemmContract {
  @Override
  Gemm gemm() {
    return Gemm.of(Backend.REFERENCE);
  }

  @Override
  boolean rounds() {
    return false;
  }
}
