package io.github.lightning4j.core.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.CudaRowOperators;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Devices, streams, events, memory and graphs, on a GPU or on the driver that stands for one. */
@RequiresCuda
final class CudaStreamDeviceTest {
  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  private Tensor pinned(float... values) {
    Memory memory = CudaMemory.pinned(gpu.device(), 4L * values.length);
    Tensor tensor = Tensor.wrap(memory, 0, DType.F32, values.length);
    for (int i = 0; i < values.length; i++) {
      tensor.accessor().set(i, values[i]);
    }
    return tensor;
  }

  @Test
  void tellsOfTheDevice() {
    CudaDevice device = CudaDevice.of(0);
    assertThat(device).isEqualTo(gpu.device());
    assertThat(device.major()).isGreaterThanOrEqualTo(8);
    assertThat(device.architecture()).startsWith("sm_" + device.major() + device.minor());
    assertThat(device.multiprocessors()).isPositive();
    assertThat(device.sharedMemoryPerBlock()).isGreaterThanOrEqualTo(96 << 10);
    assertThat(device.freeMemory()).isPositive().isLessThanOrEqualTo(device.totalMemory());
  }

  @Test
  void refusesDevicesThatAreNotThere() {
    assertThatThrownBy(() -> CudaDevice.of(99))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("CUDA device(s) cuda:0 to cuda:")
        .hasMessageEndingWith("got cuda:99");
  }

  @Test
  void copiesThereBetweenAndBack() {
    try (Tensor from = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);
        Tensor to = Tensor.allocate(DType.F32, 3)) {
      Tensor first = gpu.allocate(DType.F32, 2, 3);
      Tensor second = gpu.allocate(DType.F32, 3);
      assertThat(first.device()).isEqualTo(Device.cuda(0));
      gpu.stream().copy(from, first);
      gpu.stream().copy(first.select(0, 1), second);
      gpu.stream().copy(second, to);
      gpu.stream().synchronize();
      assertThat(to.toFloats()).containsExactly(4, 5, 6);
      gpu.stream().clear(second);
      gpu.stream().copy(second, to);
      gpu.stream().synchronize();
      assertThat(to.toFloats()).containsExactly(0, 0, 0);
      assertThatThrownBy(() -> gpu.stream().copy(from, second))
          .hasMessage("to: expected shape [2, 3], got [3]");
    }
  }

  @Test
  void keepsTheHostFromTouchingDeviceMemory() {
    Tensor there = gpu.allocate(DType.F32, 2);
    assertThatThrownBy(there::toFloats)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "expected memory on cpu, got 8 bytes on cuda:0; copy them with CudaStream.copy");
    try (Tensor here = Tensor.allocate(DType.F32, 2)) {
      assertThatThrownBy(here::deviceAddress)
          .hasMessage(
              "expected memory of a GPU, got 8 bytes on cpu; copy them with CudaStream.copy");
    }
  }

  @Test
  void waitsForNothingWithPinnedMemoryUntilAsked() {
    try (Tensor from = pinned(1, 2);
        Tensor to = pinned(0, 0)) {
      Tensor there = gpu.allocate(DType.F32, 2);
      gpu.stream().copy(from, there);
      gpu.stream().copy(there, to);
      gpu.stream().synchronize();
      assertThat(to.toFloats()).containsExactly(1, 2);
      assertThat(gpu.stream().isDone()).isTrue();
    }
  }

  @Test
  void ordersStreamsByEvents() {
    try (CudaStream other = CudaStream.open(gpu.device());
        CudaEvent start = CudaEvent.open(gpu.device());
        CudaEvent end = CudaEvent.open(gpu.device());
        Tensor from = pinned(3, 4);
        Tensor to = pinned(0, 0)) {
      Tensor there = gpu.allocate(DType.F32, 2);
      gpu.stream().record(start);
      gpu.stream().copy(from, there);
      gpu.stream().record(end);
      other.waitFor(end);
      other.copy(there, to);
      other.synchronize();
      assertThat(to.toFloats()).containsExactly(3, 4);
      assertThat(start.isDone() && end.isDone()).isTrue();
      assertThat(end.millisecondsSince(start)).isNotNegative();
      end.synchronize();
    }
  }

  @Test
  void worksOnAStreamOfTheCaller() {
    try (CudaStream own = CudaStream.wrap(gpu.device(), gpu.stream().address());
        Tensor from = pinned(5);
        Tensor to = pinned(0)) {
      Tensor there = gpu.allocate(DType.F32, 1);
      own.copy(from, there);
      gpu.stream().copy(there, to);
      gpu.stream().synchronize();
      assertThat(to.toFloats()).containsExactly(5);
    }
    gpu.stream().synchronize();
  }

  @Test
  void runsARecordedGraphAgainOnNewInput() {
    try (Tensor input = pinned(1, 2);
        Tensor output = pinned(0, 0)) {
      Tensor x = gpu.allocate(DType.F32, 1, 2);
      CudaRowOperators rows = CudaRowOperators.on(gpu.stream());
      gpu.stream().clear(x);
      rows.scaledSum(x, 1, x, 1, x);
      gpu.stream().synchronize();
      try (CudaGraph graph =
          CudaGraph.capture(
              gpu.stream(),
              () -> {
                gpu.stream().copy(input, x.reshape(2));
                rows.scaledSum(x, 2, x, 1, x);
                gpu.stream().copy(x.reshape(2), output);
              })) {
        gpu.stream().synchronize();
        assertThat(output.toFloats()).as("recording runs nothing").containsExactly(0, 0);
        for (int i = 1; i <= 3; i++) {
          input.accessor().set(0, i);
          graph.launch(gpu.stream());
          gpu.stream().synchronize();
          assertThat(output.toFloats()).containsExactly(3 * i, 6);
        }
      }
    }
  }

  @Test
  void endsRecordingWhereItFails() {
    IllegalStateException fault = new IllegalStateException("mine");
    assertThatThrownBy(
            () ->
                CudaGraph.capture(
                    gpu.stream(),
                    () -> {
                      throw fault;
                    }))
        .isSameAs(fault);
    assertThatThrownBy(() -> CudaGraph.capture(gpu.stream(), gpu.stream()::synchronize))
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED");
    gpu.stream().synchronize();
  }

  @Test
  void tellsWhatWasAskedForAndWhatIsFree() {
    long before = CudaMemory.liveBytes();
    for (Runnable ask :
        new Runnable[] {
          () -> CudaMemory.allocate(gpu.device(), 1L << 50),
          () -> CudaMemory.allocate(gpu.stream(), 1L << 50)
        }) {
      assertThatThrownBy(ask::run)
          .isInstanceOfSatisfying(
              CudaOutOfMemoryException.class,
              e -> {
                assertThat(e.bytes()).isEqualTo(1L << 50);
                assertThat(e.freeBytes()).isPositive();
              })
          .hasMessageMatching(
              ".*memory of cuda:0: asked for 1125899906842624 bytes, \\d+ of \\d+ are free; .*");
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  @Test
  void leavesNothingBehind() {
    CudaDevice device = gpu.device();
    allocateEverything(device);
    long live = CudaMemory.liveBytes();
    long free = device.freeMemory();
    for (int i = 0; i < 1000; i++) {
      allocateEverything(device);
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(live);
    // The driver keeps some of what it has been given back, but not of each round.
    assertThat(free - device.freeMemory()).isLessThan(100L << 20);
  }

  private static void allocateEverything(CudaDevice device) {
    try (CudaStream stream = CudaStream.open(device);
        CudaEvent event = CudaEvent.open(device);
        Memory pooled = CudaMemory.allocate(stream, 1 << 20);
        Memory plain = CudaMemory.allocate(device, 1 << 20);
        Memory host = CudaMemory.pinned(device, 1 << 10)) {
      stream.clear(Tensor.view(pooled, 0, DType.U8, 1 << 20));
      stream.copy(
          Tensor.view(plain, 0, DType.U8, 1 << 10), Tensor.view(host, 0, DType.U8, 1 << 10));
      stream.record(event);
    }
  }

  @Test
  void closesOnceAndInAnyOrder() {
    CudaStream stream = CudaStream.open(gpu.device());
    Memory pooled = CudaMemory.allocate(stream, 64);
    CudaEvent event = CudaEvent.open(gpu.device());
    stream.close();
    pooled.close();
    event.close();
    assertThatThrownBy(stream::close).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(stream::synchronize).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(event::isDone).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(pooled::close).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(pooled::deviceAddress).isInstanceOf(IllegalStateException.class);
  }
}
