package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class QuantizedExpertsCpuTest extends QuantizedExpertsContract {
  @BeforeEach
  void needsNativeLibrary() {
    Native.assume();
  }

  @Override
  MixtureOfExperts experts() {
    return MixtureOfExperts.of(Backend.CPU);
  }

  @Override
  SharedExpert sharedExpert() {
    return SharedExpert.of(Backend.CPU);
  }

  @Override
  boolean rounds() {
    return true;
  }
}
