package io.github.lightning4j.jmh.device;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.jar.JarFile;
import java.util.stream.Stream;

/** Finds the tests that need a GPU: the classes called {@code ...DeviceTest}. */
final class DeviceTestClasses {
  private static final String SUFFIX = "DeviceTest.class";

  private DeviceTestClasses() {}

  /** Their names in jars and folders of a class path, sorted. */
  static TreeSet<String> of(String classPath) throws IOException {
    TreeSet<String> names = new TreeSet<>();
    for (String entry : classPath.split(File.pathSeparator)) {
      Path path = Path.of(entry);
      List<String> files =
          Files.isDirectory(path)
              ? inFolder(path)
              : entry.endsWith(".jar") ? inJar(path) : List.of();
      for (String file : files) {
        if (file.endsWith(SUFFIX)) {
          names.add(file.substring(0, file.length() - ".class".length()).replace('/', '.'));
        }
      }
    }
    return names;
  }

  private static List<String> inFolder(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files
          .map(file -> folder.relativize(file).toString().replace(File.separatorChar, '/'))
          .toList();
    }
  }

  private static List<String> inJar(Path jar) throws IOException {
    try (JarFile file = new JarFile(jar.toFile())) {
      return file.stream().map(entry -> entry.getName()).toList();
    }
  }
}
