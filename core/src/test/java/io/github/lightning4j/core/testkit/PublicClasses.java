package io.github.lightning4j.core.testkit;

import java.io.IOException;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Loads the public classes of a module, in a JVM that lacks something. */
public final class PublicClasses {
  private PublicClasses() {}

  /** Loads and initializes what lies in a folder of classes, and tells each name on stdout. */
  public static void load(Path root) throws IOException, ClassNotFoundException {
    for (String name : names(root)) {
      Class<?> loaded = Class.forName(name);
      if (Modifier.isPublic(loaded.getModifiers())) {
        System.out.println(name);
        // What a framework's reflection would touch.
        loaded.getMethods();
      }
    }
  }

  private static List<String> names(Path root) throws IOException {
    try (Stream<Path> files = Files.walk(root)) {
      return files
          .map(file -> root.relativize(file).toString())
          .filter(name -> name.endsWith(".class") && !name.endsWith("-info.class"))
          .map(name -> name.substring(0, name.length() - 6).replace('/', '.'))
          .filter(name -> !name.contains(".internal."))
          .sorted()
          .toList();
    }
  }
}
