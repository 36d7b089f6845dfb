package io.github.lightning4j.jmh.device;

import io.github.lightning4j.jmh.device.TestRecord.State;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * The program that runs the tests of all modules on a GPU, where there is no Maven: {@code list}
 * tells the classes called {@code ...DeviceTest} on the class path, {@code run FILE CLASS} runs one
 * and writes down what came of it, {@code summary FILE} tells of all.
 *
 * <p>A GPU that a test has lost is lost for its process. Then this ends with status {@value #LOST},
 * and a second {@code run} with the same file goes on behind the methods it has begun.
 */
final class DeviceTestRunner {
  static final int FAILED = 1;
  static final int NOTHING_RUN = 2;
  static final int LOST = 3;

  private DeviceTestRunner() {}

  /** Runs the program and ends with its status. */
  public static void main(String[] arguments) throws Exception {
    int status =
        switch (arguments.length == 0 ? "" : arguments[0]) {
          case "list" -> list();
          case "run" -> run(Path.of(arguments[1]), Class.forName(arguments[2]), () -> halt());
          case "summary" -> summary(Path.of(arguments[1]), Pattern.compile(arguments[2]));
          default -> {
            System.err.println(
                "usage: DeviceTestRunner list | run FILE CLASS | summary FILE REGEX");
            yield NOTHING_RUN;
          }
        };
    System.exit(status);
  }

  /** Without what a program does when it ends, which may ask the GPU. */
  private static void halt() {
    Runtime.getRuntime().halt(LOST);
  }

  private static int list() throws IOException {
    classes().forEach(System.out::println);
    return 0;
  }

  private static TreeSet<String> classes() throws IOException {
    return DeviceTestClasses.of(System.getProperty("java.class.path"));
  }

  /** Runs the methods of a class that a file does not have yet. */
  static int run(Path file, Class<?> tests, Runnable onLost) throws IOException {
    Set<String> known =
        TestRecord.read(file).stream().map(TestRecord::method).collect(Collectors.toSet());
    LauncherDiscoveryRequest request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(DiscoverySelectors.selectClass(tests))
            .filters((PostDiscoveryFilter) test -> unknown(test, known))
            .build();
    RecordingListener listener = new RecordingListener(file, onLost);
    LauncherFactory.create().execute(request, listener);
    return status(listener.states());
  }

  private static FilterResult unknown(TestDescriptor test, Set<String> known) {
    boolean begun = RecordingListener.method(test).filter(known::contains).isPresent();
    return FilterResult.includedIf(!begun);
  }

  private static int status(Set<State> states) {
    if (states.contains(State.FAILED)) {
      return FAILED;
    }
    return states.contains(State.PASSED) ? 0 : NOTHING_RUN;
  }

  private static int summary(Path file, Pattern wanted) throws IOException {
    List<String> classes = classes().stream().filter(wanted.asPredicate()).toList();
    TestSummary summary = TestSummary.of(TestRecord.read(file), classes);
    summary.lines().forEach(System.out::println);
    return summary.isGood() ? 0 : FAILED;
  }
}
