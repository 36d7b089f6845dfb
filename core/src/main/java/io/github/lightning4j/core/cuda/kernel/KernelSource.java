package io.github.lightning4j.core.cuda.kernel;

import static com.google.common.base.Preconditions.checkArgument;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * CUDA C++ text with the constants that it is specialised by.
 *
 * @param name the file's name, for messages
 * @param text what it says
 * @param headers what it includes by {@code #include "name"}, and these in turn: name to text
 * @param constants what {@code -D} defines: name to value
 */
public record KernelSource(
    String name,
    String text,
    SortedMap<String, String> headers,
    SortedMap<String, String> constants) {
  private static final Pattern INCLUDE =
      Pattern.compile("^\\s*#include\\s+\"([^\"]+)\"", Pattern.MULTILINE);
  private static final Pattern NAME = Pattern.compile("[A-Za-z_]\\w*");

  /** Copies the maps. */
  public KernelSource {
    headers = Collections.unmodifiableSortedMap(new TreeMap<>(headers));
    constants = Collections.unmodifiableSortedMap(new TreeMap<>(constants));
  }

  /**
   * Reads a resource, and what it includes: from beside it, or from core's own headers.
   *
   * @param owner a class of the package that has the resource
   * @param name the file's name
   * @throws IllegalArgumentException if there is no such resource
   */
  public static KernelSource of(Class<?> owner, String name) {
    String text = read(owner, name);
    TreeMap<String, String> headers = new TreeMap<>();
    addHeaders(owner, text, headers);
    return new KernelSource(name, text, headers, new TreeMap<>());
  }

  private static void addHeaders(Class<?> owner, String text, TreeMap<String, String> headers) {
    Matcher include = INCLUDE.matcher(text);
    while (include.find()) {
      String name = include.group(1);
      if (!headers.containsKey(name)) {
        String header = read(owner, name);
        headers.put(name, header);
        addHeaders(owner, header, headers);
      }
    }
  }

  private static String read(Class<?> owner, String name) {
    try (InputStream beside = owner.getResourceAsStream(name);
        InputStream core = KernelSource.class.getResourceAsStream(name)) {
      InputStream found = beside == null ? core : beside;
      checkArgument(found != null, "name: no resource %s beside %s", name, owner.getName());
      return new String(found.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * The same with a constant defined.
   *
   * @throws IllegalArgumentException if the name is none of C++
   */
  public KernelSource define(String constant, long value) {
    checkArgument(
        NAME.matcher(constant).matches(), "constant: expected a name of C++, got %s", constant);
    TreeMap<String, String> defined = new TreeMap<>(constants);
    defined.put(constant, Long.toString(value));
    return new KernelSource(name, text, headers, defined);
  }

  @Override
  public String toString() {
    return constants.isEmpty() ? name : name + constants;
  }
}
