package io.github.lightning4j.core.testkit;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A second JVM, for what can be set or left out only when one starts. */
public final class ChildJvm {
  private final List<String> options = new ArrayList<>();
  private final Map<String, String> environment = new HashMap<>();
  private Predicate<String> kept = entry -> true;

  /** What a child did. */
  public record Result(int status, String output) {}

  /** Sets a system property. */
  public ChildJvm with(String property, String value) {
    options.add("-D" + property + "=" + value);
    return this;
  }

  /** Optimises little, for a child that lives a moment: it takes a third of the time. */
  public ChildJvm brief() {
    options.add("-XX:TieredStopAtLevel=1");
    return this;
  }

  /** Sets an environment variable. */
  public ChildJvm environment(String variable, String value) {
    environment.put(variable, value);
    return this;
  }

  /** Leaves out the entries of the class path that contain a text. */
  public ChildJvm without(String text) {
    kept = kept.and(entry -> !entry.contains(text));
    return this;
  }

  /** Runs a main class to its end; the output is stdout and stderr together. */
  public Result run(Class<?> main, String... arguments) {
    return run(main.getName(), arguments);
  }

  /** Runs a main class by its name, or a source file by its path. */
  public Result run(String main, String... arguments) {
    String classPath =
        Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
            .filter(kept)
            .collect(Collectors.joining(File.pathSeparator));
    List<String> command = new ArrayList<>();
    command.add(System.getProperty("java.home") + "/bin/java");
    command.addAll(options);
    command.addAll(List.of("-cp", classPath, main));
    command.addAll(List.of(arguments));
    try {
      ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
      builder.environment().putAll(environment);
      Process child = builder.start();
      String output = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return new Result(child.waitFor(), output);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }
}
