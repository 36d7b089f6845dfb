package io.github.lightning4j.jmh.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The archive for GPU hosts has the tests of every module that needs a GPU, and finds them. */
final class BundleTest {
  private static final Path REPOSITORY = Path.of(System.getProperty("lightning4j.repository"));
  private static final String SOURCES = "src/test/java";

  private static List<String> modules() throws Exception {
    Matcher module =
        Pattern.compile("<module>([\\w-]+)</module>")
            .matcher(Files.readString(REPOSITORY.resolve("pom.xml")));
    return module.results().map(found -> found.group(1)).toList();
  }

  private static List<String> deviceTests(String module) throws Exception {
    Path sources = REPOSITORY.resolve(module).resolve(SOURCES);
    if (!Files.isDirectory(sources)) {
      return List.of();
    }
    try (Stream<Path> files = Files.walk(sources)) {
      return files
          .map(file -> sources.relativize(file).toString())
          .filter(name -> name.endsWith("DeviceTest.java"))
          .map(name -> name.replace(".java", "").replace('/', '.'))
          .sorted()
          .toList();
    }
  }

  @Test
  void everyModuleWithDeviceTestsIsPacked() throws Exception {
    String pom = Files.readString(REPOSITORY.resolve("jmh/pom.xml"));
    List<String> found = new ArrayList<>();
    for (String module : modules()) {
      List<String> tests = deviceTests(module);
      found.addAll(tests);
      if (!tests.isEmpty() && !module.equals("jmh")) {
        assertThat(pom)
            .as("test-jar of %s", module)
            .containsPattern(
                "<artifactId>" + module + "</artifactId>(<version>[^<]*</version>)?<type>test-jar");
      }
    }
    assertThat(found).hasSizeGreaterThan(3).contains(DeviceBenchDeviceTest.class.getName());
  }

  @Test
  void theRunnerFindsThem() throws Exception {
    int looked = 0;
    for (String module : modules()) {
      Path classes = REPOSITORY.resolve(module).resolve("target/test-classes");
      List<String> tests = deviceTests(module);
      if (Files.isDirectory(classes) && !tests.isEmpty()) {
        assertThat(DeviceTestClasses.of(classes.toString())).containsAll(tests);
        looked++;
      }
    }
    assertThat(looked).as("modules, this one at least").isPositive();
  }

  @Test
  void theRunnerFindsThemInJarsToo() throws Exception {
    String kit =
        Stream.of(System.getProperty("java.class.path").split(java.io.File.pathSeparator))
            .filter(entry -> entry.matches(".*core-[^/]*-tests\\.jar"))
            .findFirst()
            .orElse("");
    assumeTrue(!kit.isEmpty(), "core's test kit is a folder in this build, not a jar");
    assertThat(DeviceTestClasses.of(kit)).containsAll(deviceTests("core"));
  }
}
