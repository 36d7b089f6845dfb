package io.github.lightning4j.examples;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.conditions.ArchConditions.be;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.GeneralCodingRules.ACCESS_STANDARD_STREAMS;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Holds the floors of ARCHITECTURE.md: who may use whom, what stays inside, what nobody does. */
final class ArchitectureTest {
  private static final String ROOT = "io.github.lightning4j";

  /** Everything of ours that is a library. */
  private static final DescribedPredicate<JavaClass> LIBRARY =
      not(resideInAPackage(ROOT + ".examples..")).as("a library");

  /** The contract-test kit, which is no library. */
  private static final Pattern TEST_JAR = Pattern.compile(".*-tests\\.jar!.*");

  private static JavaClasses suite;

  /** Every module with classes, and the modules below it that it may use. */
  enum Module {
    CORE("core", "core"),
    ATTENTION("lightning-attention", "attention", "core"),
    MOE("moe", "moe", "core"),
    KV_QUANT("kv-quant", "kvquant", "core"),
    VLM_QUANT("vlm-quant", "vlmquant", "core", "kvquant"),
    CISPO("cispo", "cispo", "core"),
    MODEL("model-minimax", "minimax", "core", "attention", "moe", "kvquant", "vlmquant", "cispo"),
    ND4J("nd4j", "nd4j", "core");

    private final String folder;
    private final String name;
    private final Set<String> below;

    Module(String folder, String name, String... below) {
      this.folder = folder;
      this.name = name;
      this.below = Set.of(below);
    }

    String packages() {
      return ROOT + "." + name + "..";
    }

    String internal() {
      return ROOT + "." + name + "..internal..";
    }

    /** The packages of ours that it may use. */
    String[] allowed() {
      Set<String> allowed = new LinkedHashSet<>();
      allowed.add(packages());
      below.forEach(name -> allowed.add(ROOT + "." + name + ".."));
      return allowed.toArray(String[]::new);
    }
  }

  @BeforeAll
  static void readClasses() {
    suite =
        new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .withImportOption(location -> !location.matches(TEST_JAR))
            .importPackages(ROOT);
  }

  @ParameterizedTest
  @EnumSource
  void moduleWithSourcesIsOnTheClassPath(Module module) {
    Path sources = SuiteTest.REPOSITORY.resolve(module.folder).resolve("src/main/java");
    assertThat(suite.that(resideInAPackage(module.packages())).isEmpty())
        .as("no class of %s is on the class path of this test", module.folder)
        .isEqualTo(!Files.isDirectory(sources));
  }

  @ParameterizedTest
  @EnumSource
  void moduleStandsOnLowerFloorsOnly(Module module) {
    noClasses()
        .that(resideInAPackage(module.packages()))
        .should()
        .dependOnClassesThat(
            resideInAPackage(ROOT + "..").and(not(resideInAnyPackage(module.allowed()))))
        .allowEmptyShould(true)
        .check(suite);
  }

  @ParameterizedTest
  @EnumSource
  void internalPackagesStayInside(Module module) {
    noClasses()
        .that()
        .resideOutsideOfPackage(module.packages())
        .should()
        .dependOnClassesThat()
        .resideInAPackage(module.internal())
        .allowEmptyShould(true)
        .check(suite);
  }

  @Test
  void onlyTheBridgeSeesNd4j() {
    noClasses()
        .that()
        .resideOutsideOfPackage(Module.ND4J.packages())
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("org.nd4j..", "org.deeplearning4j..")
        .check(suite);
  }

  @Test
  void nativeMemoryIsTouchedBelowTheFacadesOnly() {
    noClasses()
        .that(
            not(
                resideInAnyPackage(
                    Module.CORE.packages(), Module.ND4J.packages(), ROOT + "..internal..")))
        .should()
        .dependOnClassesThat()
        .resideInAPackage("org.bytedeco..")
        .allowEmptyShould(true)
        .check(suite);
  }

  @Test
  void librariesDoNotPrint() {
    noClasses().that(LIBRARY).should(ACCESS_STANDARD_STREAMS).check(suite);
  }

  @Test
  void librariesDoNotEndTheProcess() {
    noClasses()
        .that(LIBRARY)
        .should()
        .callMethod(System.class, "exit", int.class)
        .orShould()
        .callMethod(Runtime.class, "exit", int.class)
        .orShould()
        .callMethod(Runtime.class, "halt", int.class)
        .check(suite);
  }

  @Test
  void publicTypesAreClosed() {
    classes()
        .that(LIBRARY)
        .and()
        .arePublic()
        .and()
        .areNotInterfaces()
        .should(be(describe("final, an enum, or sealed", ArchitectureTest::closed)))
        .check(suite);
  }

  @Test
  void packagesSayWhatMayBeNull() {
    classes()
        .that()
        .doNotHaveSimpleName("package-info")
        .should(
            be(
                describe(
                    "in a @NullMarked package",
                    c -> c.getPackage().isAnnotatedWith(NullMarked.class))))
        .check(suite);
  }

  private static boolean closed(JavaClass type) {
    return type.getModifiers().contains(JavaModifier.FINAL)
        || type.isEnum()
        || type.reflect().isSealed();
  }
}
