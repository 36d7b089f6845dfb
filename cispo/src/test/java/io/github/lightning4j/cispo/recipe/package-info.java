/** The parts of the recipe, each against numbers worked out by hand. */
@NullMarked
package io.github.lightning4j.cispo.recipe;

import org.jspecify.annotations.NullMarked;
