package io.github.lightning4j.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.xpath.XPathConstants;
import javax.xml.xpath.XPathFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;

/** Holds the poms of the suite against each other. */
final class SuiteTest {
  /** The root of the source tree; set by the build. */
  static final Path REPOSITORY = Path.of(System.getProperty("lightning4j.repository"));

  private static final String OURS = "io.github.lightning4j";

  /** Programs and the list itself: not for others to depend on. */
  private static final List<String> NOT_LISTED = List.of("bom", "examples", "jmh");

  private final Document parent = pom("");
  private final Document bom = pom("bom");

  @Test
  void bomHasTheVersionOfTheParent() {
    String version = texts(parent, "/project/version").get(0);
    assertThat(texts(bom, "/project/version")).containsExactly(version);
    String ours = "//dependency[groupId='" + OURS + "']/version";
    assertThat(texts(bom, ours)).isNotEmpty().containsOnly(version);
    // ND4J would bring an older native part of JavaCPP than our classes need.
    String javacpp = "//dependency[groupId='org.bytedeco']/version";
    assertThat(texts(bom, javacpp))
        .hasSize(2)
        .containsOnly(texts(parent, "//properties/javacpp.version").get(0));
    assertThat(modules()).allSatisfy(module -> assertVersion(module, version));
  }

  private static void assertVersion(String module, String version) {
    List<String> declared = texts(pom(module), "/project/version | /project/parent/version");
    assertThat(declared).as(module).containsExactly(version);
  }

  @Test
  void bomStandsAlone() {
    assertThat(texts(bom, "/project/parent")).isEmpty();
    assertThat(texts(bom, "//dependencyManagement//text()")).noneMatch(t -> t.contains("${"));
  }

  @Test
  void bomListsEveryPublishedJar() {
    List<String> expected = new ArrayList<>();
    for (String module : modules()) {
      if (NOT_LISTED.contains(module)) {
        continue;
      }
      expected.add(module);
      if (!texts(pom(module), "//native.class").isEmpty()) {
        expected.add(module + ":linux-x86_64");
      }
      if (texts(pom(module), "//goal").contains("test-jar")) {
        expected.add(module + ":test-jar");
      }
    }
    assertThat(managed()).containsExactlyInAnyOrderElementsOf(expected);
  }

  @Test
  void onlyTheBridgeDependsOnNd4jAndHandsItToNobody() {
    for (String module : modules()) {
      String nd4j = "/project/dependencies/dependency[groupId='org.nd4j']";
      if (module.equals("nd4j")) {
        String handedOn = nd4j + "[not(scope='test') and not(optional='true')]";
        assertThat(texts(pom(module), nd4j)).isNotEmpty();
        assertThat(texts(pom(module), handedOn)).isEmpty();
      } else {
        assertThat(texts(pom(module), nd4j)).as(module).isEmpty();
      }
    }
  }

  private List<String> modules() {
    return texts(parent, "/project/modules/module");
  }

  private List<String> managed() {
    String dependency = "//dependencyManagement//dependency[groupId='" + OURS + "']";
    List<String> plain =
        texts(bom, dependency + "[not(classifier) and not(type='test-jar')]/artifactId");
    Stream<String> natives =
        texts(bom, dependency + "[classifier='linux-x86_64']/artifactId").stream()
            .map(artifact -> artifact + ":linux-x86_64");
    Stream<String> kits =
        texts(bom, dependency + "[type='test-jar']/artifactId").stream()
            .map(artifact -> artifact + ":test-jar");
    return Stream.of(plain.stream(), natives, kits).flatMap(s -> s).toList();
  }

  private static Document pom(String module) {
    try {
      return DocumentBuilderFactory.newInstance()
          .newDocumentBuilder()
          .parse(REPOSITORY.resolve(module).resolve("pom.xml").toFile());
    } catch (Exception e) {
      throw new IllegalStateException("cannot read the pom of '" + module + "'", e);
    }
  }

  private static List<String> texts(Document pom, String path) {
    try {
      NodeList nodes =
          (NodeList)
              XPathFactory.newInstance().newXPath().evaluate(path, pom, XPathConstants.NODESET);
      return Stream.iterate(0, i -> i < nodes.getLength(), i -> i + 1)
          .map(i -> nodes.item(i).getTextContent().strip())
          .toList();
    } catch (javax.xml.xpath.XPathExpressionException e) {
      throw new IllegalArgumentException("path: " + path, e);
    }
  }
}
