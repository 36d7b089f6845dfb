package io.github.lightning4j.jmh.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The list of rows is complete, and the notes have a line for each. */
final class DeviceRowsTest {
  private static final Path REPOSITORY = Path.of(System.getProperty("lightning4j.repository"));

  @Test
  void everyRowIsListed() throws Exception {
    Path classes =
        Path.of(DeviceRow.class.getProtectionDomain().getCodeSource().getLocation().toURI())
            .resolve(DeviceRow.class.getPackageName().replace('.', '/'));
    List<Class<?>> rows = new ArrayList<>();
    try (Stream<Path> files = Files.list(classes)) {
      for (Path file : files.toList()) {
        String name = file.getFileName().toString().replace(".class", "");
        Class<?> type = Class.forName(DeviceRow.class.getPackageName() + "." + name);
        if (DeviceRow.class.isAssignableFrom(type) && !type.isInterface() && !name.contains("$")) {
          rows.add(type);
        }
      }
    }
    List<Class<?>> listed = new ArrayList<>();
    for (DeviceRow row : DeviceRows.all()) {
      listed.add(row instanceof Enum<?> one ? one.getDeclaringClass() : row.getClass());
      if (row instanceof Enum<?> one) {
        assertThat(DeviceRows.all())
            .contains((DeviceRow[]) one.getDeclaringClass().getEnumConstants());
      }
    }
    assertThat(rows).isNotEmpty().hasSameElementsAs(listed);
  }

  @Test
  void titlesDiffer() {
    assertThat(DeviceRows.all().stream().map(DeviceRow::title)).doesNotHaveDuplicates();
  }

  @Test
  void notesTellOfEveryRowAndItsGoal() throws Exception {
    List<String> notes = Files.readAllLines(REPOSITORY.resolve("docs/notes/cuda.md"));
    assertThat(DeviceRows.all())
        .allSatisfy(
            row ->
                assertThat(notes)
                    .as("docs/notes/cuda.md")
                    .anyMatch(
                        line -> line.startsWith("| " + row.title() + " | " + row.goal() + " | ")));
  }
}
