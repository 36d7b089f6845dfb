package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.cuda.CudaDeviceLostException;
import io.github.lightning4j.jmh.device.TestRecord.State;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/**
 * Writes down each test before and after it runs, so that a process that ends in the middle leaves
 * what it had. Where a test loses the GPU, nothing after it in the process can be right: {@code
 * onLost} is to end it.
 */
final class RecordingListener implements TestExecutionListener {
  private static final int STACK = 1500;

  private final Path file;
  private final Runnable onLost;
  private final Map<String, Long> starts = new HashMap<>();
  private final Set<State> states = new HashSet<>();

  RecordingListener(Path file, Runnable onLost) {
    this.file = file;
    this.onLost = onLost;
  }

  /** How calls have ended so far. */
  Set<State> states() {
    return states;
  }

  /** Class and method of what is a method; empty for classes and engines. */
  static Optional<String> method(TestIdentifier test) {
    return test.getSource().filter(MethodSource.class::isInstance).map(RecordingListener::key);
  }

  /** The same of what was discovered. */
  static Optional<String> method(TestDescriptor test) {
    return test.getSource().filter(MethodSource.class::isInstance).map(RecordingListener::key);
  }

  private static String container(TestIdentifier test) {
    return test.getSource()
        .filter(ClassSource.class::isInstance)
        .map(source -> ((ClassSource) source).getClassName() + ".class")
        .orElse(test.getDisplayName());
  }

  private static String key(Object source) {
    MethodSource method = (MethodSource) source;
    return method.getClassName() + "." + method.getMethodName();
  }

  @Override
  public void executionStarted(TestIdentifier test) {
    starts.put(test.getUniqueId(), System.nanoTime());
    method(test).ifPresent(method -> write(test, method, State.BEGUN, null));
  }

  @Override
  public void executionSkipped(TestIdentifier test, String reason) {
    write(test, method(test).orElseGet(() -> container(test)), State.SKIPPED, reason);
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    Throwable fault = result.getThrowable().orElse(null);
    boolean passed = result.getStatus() == TestExecutionResult.Status.SUCCESSFUL;
    Optional<String> method = method(test);
    if (test.isTest()) {
      State aborted =
          result.getStatus() == TestExecutionResult.Status.ABORTED ? State.SKIPPED : State.FAILED;
      write(
          test,
          method.orElseGet(() -> container(test)),
          passed ? State.PASSED : aborted,
          text(fault));
    } else if (!passed) {
      write(test, method.orElse(test.getDisplayName()), State.FAILED, text(fault));
    } else {
      method.ifPresent(name -> write(test, name, State.ENDED, null));
    }
    if (lost(fault)) {
      onLost.run();
    }
  }

  private static @Nullable String text(@Nullable Throwable fault) {
    if (fault == null) {
      return null;
    }
    StringWriter text = new StringWriter();
    fault.printStackTrace(new PrintWriter(text));
    return text.getBuffer().substring(0, Math.min(STACK, text.getBuffer().length()));
  }

  private static boolean lost(@Nullable Throwable fault) {
    if (fault == null) {
      return false;
    }
    boolean lost = fault instanceof CudaDeviceLostException || lost(fault.getCause());
    for (Throwable suppressed : fault.getSuppressed()) {
      lost |= lost(suppressed);
    }
    return lost;
  }

  private void write(TestIdentifier test, String method, State state, @Nullable String message) {
    if (state != State.BEGUN && state != State.ENDED) {
      states.add(state);
    }
    long start = starts.getOrDefault(test.getUniqueId(), System.nanoTime());
    long ms = (System.nanoTime() - start) / 1_000_000;
    try {
      new TestRecord(method, test.getDisplayName(), state, ms, message).appendTo(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
