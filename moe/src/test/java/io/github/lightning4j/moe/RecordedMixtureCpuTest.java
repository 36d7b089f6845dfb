package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Recording;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class RecordedMixtureCpuTest extends RecordedMixtureContract {
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
  Router router() {
    return Router.of(Backend.CPU);
  }

  @Test
  void refusesSoManyTokensThatTheirExpertsRunInGroups() {
    try (Mixture m = new Mixture(17, 16, 16, 4, 2, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      assertThatThrownBy(() -> Recording.of(() -> m.run(experts(), workspace)))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("cannot be recorded");
    }
  }
}
