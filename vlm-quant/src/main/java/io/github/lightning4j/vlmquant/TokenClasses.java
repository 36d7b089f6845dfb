package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

/** The check of classes that callers tell. */
final class TokenClasses {
  private TokenClasses() {}

  static void check(TokenClass[] classes, long tokens) {
    checkArgument(
        classes.length == tokens,
        "classes: expected %s, one for each token, got %s",
        tokens,
        classes.length);
    for (int t = 0; t < classes.length; t++) {
      checkArgument(
          classes[t] == TokenClass.TEXT || classes[t] == TokenClass.VISUAL,
          "classes[%s]: expected TEXT or VISUAL, got %s",
          t,
          classes[t]);
    }
  }
}
