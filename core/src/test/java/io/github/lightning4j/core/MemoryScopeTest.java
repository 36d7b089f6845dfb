package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class MemoryScopeTest {
  @Test
  void closesLastOpenedFirst() {
    List<String> closed = new ArrayList<>();
    try (MemoryScope scope = new MemoryScope()) {
      AutoCloseable first = () -> closed.add("first");
      assertThat(scope.add(first)).isSameAs(first);
      scope.add(() -> closed.add("second"));
      scope.add(() -> closed.add("third"));
      assertThat(closed).isEmpty();
    }
    assertThat(closed).containsExactly("third", "second", "first");
  }

  @Test
  void closesEverythingAndThrowsTheFirstFailure() {
    Tensor tensor = Tensor.allocate(DType.F32, 1);
    MemoryScope scope = new MemoryScope();
    scope.add(tensor);
    scope.add(
        () -> {
          throw new IllegalStateException("second");
        });
    scope.add(
        () -> {
          throw new IOException("first");
        });
    assertThatThrownBy(scope::close)
        .isInstanceOf(IllegalStateException.class)
        .hasRootCauseMessage("first")
        .satisfies(
            e ->
                assertThat(e.getSuppressed())
                    .singleElement()
                    .hasToString("java.lang.IllegalStateException: second"));
    assertThat(tensor.isClosed()).isTrue();
  }

  @Test
  void closesOnce() {
    MemoryScope scope = new MemoryScope();
    scope.close();
    assertThatThrownBy(scope::close)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("scope is closed already");
    assertThatThrownBy(() -> scope.add(() -> {})).isInstanceOf(IllegalStateException.class);
    long before = Memory.liveBytes();
    assertThatThrownBy(() -> scope.allocate(DType.F32, 8))
        .isInstanceOf(IllegalStateException.class);
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  @Test
  void allocatesForItsLifetime() {
    long before = Memory.liveBytes();
    Tensor tensor;
    try (MemoryScope scope = new MemoryScope()) {
      tensor = scope.allocate(DType.F64, 2, 3);
      assertThat(Memory.liveBytes()).isEqualTo(before + 48);
    }
    assertThat(tensor.isClosed()).isTrue();
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }
}
