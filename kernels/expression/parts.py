"""Complex arithmetic and functions on separate real and imaginary parts, as real operations of a builder.

A part that is None is zero by the structure of the formula and costs nothing. Owns the formulas of the complex functions;
must never know where numbers come from. Divisions are plain, (a*conj(b))/abs(b)**2, and absolute values square roots of
the sum of squares: both lose their value where a square leaves the range of the numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kernels.expression.operations import Builder

Part = int | None

# Beyond, the hyperbolic tangent is 1 to the last bit, and no square overflows, in either precision
LARGEST_HYPERBOLIC = 30.0


@dataclass(frozen=True, slots=True)
class Value:
    """A real number has no imaginary part and a real one; a complex number may lack either."""

    re: Part
    im: Part = None
    complex: bool = False


class Parts:
    """The operations of the formula language on values, written to a builder.

    With `fused`, division by one number of both parts is one division and two products; without, every operation is the
    textbook's, as NumPy computes it on arrays of real and imaginary parts.
    """

    def __init__(self, builder: Builder, *, fused: bool) -> None:
        self.builder = builder
        self.fused = fused

    def literal(self, value: float) -> Value:
        """A real number known now."""
        return Value(self.builder.literal(value))

    def part(self, part: Part) -> int:
        """A part as an operation, also where it is zero by structure."""
        return self.builder.literal(0.0) if part is None else part

    # Sums and products, of which parts that are zero by structure drop out

    def add(self, left: Value, right: Value) -> Value:
        """left + right."""
        return self._parts(left, right, self._sum)

    def subtract(self, left: Value, right: Value) -> Value:
        """left - right."""
        return self._parts(left, right, lambda a, b: self._sum(a, self._minus(b)))

    def negative(self, value: Value) -> Value:
        """-value."""
        return Value(self._minus(value.re), self._minus(value.im), value.complex)

    def multiply(self, left: Value, right: Value) -> Value:
        """left * right; a square takes three products at most."""
        if left == right and left.re is not None and left.im is not None:
            double = self.builder.apply("+", left.re, left.re)
            re = self._sum(self._times(left.re, left.re), self._minus(self._times(left.im, left.im)))
            return Value(re, self.builder.apply("*", double, left.im), complex=True)
        re = self._sum(self._times(left.re, right.re), self._minus(self._times(left.im, right.im)))
        im = self._sum(self._times(left.re, right.im), self._times(left.im, right.re))
        return Value(re, im, left.complex or right.complex)

    def divide(self, left: Value, right: Value) -> Value:
        """left / right."""
        if not right.complex:
            return self._over(left, self.part(right.re))
        square = self.part(self._square(right))
        return self._over(self.multiply(left, self.conjugate(right)), square)

    def conjugate(self, value: Value) -> Value:
        """re - i*im."""
        return Value(value.re, self._minus(value.im), value.complex)

    def scale(self, value: Value, factor: Part) -> Value:
        """A value times a real number."""
        return Value(self._times(value.re, factor), self._times(value.im, factor), value.complex)

    def apply(self, name: str, value: Value) -> Value:
        """A real operation on a real value."""
        return Value(self.builder.apply(name, self.part(value.re)))

    def choose(self, test: int, left: Value, right: Value) -> Value:
        """left where the test holds, right elsewhere."""

        def part(a: Part, b: Part) -> Part:
            return None if a is None and b is None else self.builder.apply("select", test, self.part(a), self.part(b))

        return self._parts(left, right, part)

    # Size and direction

    def absolute(self, value: Value) -> Value:
        """The absolute value."""
        if value.re is None or value.im is None:
            return self.apply("abs", Value(value.im if value.re is None else value.re))
        return self.apply("sqrt", self.square(value))

    def square(self, value: Value) -> Value:
        """abs(value)**2, without a square root."""
        return Value(self.part(self._square(value)))

    def argument(self, value: Value) -> Value:
        """The angle in (-pi, pi]; 0 for 0."""
        return Value(self.builder.apply("atan2", self.part(value.im), self.part(value.re)))

    # Functions of real and complex numbers

    def exp(self, value: Value) -> Value:
        """The exponential."""
        size = None if value.re is None else self.builder.apply("exp", value.re)
        if value.im is None:
            return Value(self.part(size) if size is not None else self.builder.literal(1.0), None, value.complex)
        return self._polar(size, value.im)

    def log(self, value: Value) -> Value:
        """The principal logarithm; of a negative real number, NaN."""
        if not value.complex:
            return self.apply("log", value)
        if value.re is None or value.im is None:
            size = self.apply("log", self.absolute(value))
        else:
            size = self.scale(self.apply("log", self.square(value)), self.builder.literal(0.5))
        return Value(size.re, self.argument(value).re, complex=True)

    def sqrt(self, value: Value) -> Value:
        """The principal square root; of a negative real number, NaN."""
        if not value.complex:
            return self.apply("sqrt", value)
        re, im, zero = self.part(value.re), self.part(value.im), self.builder.literal(0.0)
        apply = self.builder.apply
        sum_of_sizes = apply("+", self.part(self.absolute(value).re), apply("abs", re))
        large = apply("sqrt", apply("*", sum_of_sizes, self.builder.literal(0.5)))
        small = apply("/", im, apply("+", large, large))
        small = apply("select", apply("equal", large, zero), im, small)
        left = apply("less", re, zero)
        return Value(
            apply("select", left, apply("abs", small), large),
            apply("select", left, apply("copysign", large, im), small),
            complex=True,
        )

    def sin(self, value: Value) -> Value:
        """sin(a) cosh(b) + i cos(a) sinh(b)."""
        return self._separated(value, ("sin", "cosh"), ("cos", "sinh"))

    def cos(self, value: Value) -> Value:
        """cos(a) cosh(b) - i sin(a) sinh(b)."""
        return self.conjugate(self._separated(value, ("cos", "cosh"), ("sin", "sinh")))

    def sinh(self, value: Value) -> Value:
        """sinh(a) cos(b) + i cosh(a) sin(b)."""
        return self._separated(value, ("sinh", "cos"), ("cosh", "sin"))

    def cosh(self, value: Value) -> Value:
        """cosh(a) cos(b) + i sinh(a) sin(b)."""
        return self._separated(value, ("cosh", "cos"), ("sinh", "sin"))

    def tan(self, value: Value) -> Value:
        """(sin(a) cos(a) + i sinh(b) cosh(b)) / (cos(a)**2 + sinh(b)**2), which cancels nowhere."""
        if value.im is None:
            return Value(self.builder.apply("tan", self.part(value.re)), None, value.complex)
        sin, cos, sinh, cosh = self._four(self.part(value.re), self._clamp(value.im))
        return self._over(
            Value(self._times(sin, cos), self._times(sinh, cosh), complex=True),
            self.part(self._square(Value(cos, sinh))),
        )

    def tanh(self, value: Value) -> Value:
        """(sinh(a) cosh(a) + i sin(b) cos(b)) / (sinh(a)**2 + cos(b)**2), which cancels nowhere."""
        if value.im is None:
            return Value(self.builder.apply("tanh", self.part(value.re)), None, value.complex)
        sin, cos, sinh, cosh = self._four(value.im, self._clamp(self.part(value.re)))
        return self._over(
            Value(self._times(sinh, cosh), self._times(sin, cos), complex=True),
            self.part(self._square(Value(sinh, cos))),
        )

    def power(self, base: Value, exponent: Value) -> Value:
        """exp(exponent*log(base)), the principal branch; x**0 is 1, and 0**n is 0 where the real part of n is positive."""
        if not base.complex and not exponent.complex:
            return Value(self.builder.apply("power", self.part(base.re), self.part(exponent.re)))
        result = self.exp(self.multiply(exponent, self.log(Value(base.re, base.im, complex=True))))

        # Where the logarithm is infinite, its product with a complex exponent has no value
        if exponent.im is not None:
            positive = self.builder.apply("less", self.builder.literal(0.0), self.part(exponent.re))
            vanishes = self.builder.apply("and", self.is_zero(base), positive)
            result = self.choose(vanishes, Value(None, None, complex=True), result)
        if self.builder.value(self.part(exponent.re)) in (None, 0.0):
            result = self.choose(self.is_zero(exponent), self.literal(1.0), result)
        return result

    def is_zero(self, value: Value) -> int:
        """The test whether a value is 0."""
        return self.equal(value, self.literal(0.0))

    def equal(self, left: Value, right: Value) -> int:
        """The test whether two values are the same in both parts."""
        tests = [
            self.builder.apply("equal", self.part(a), self.part(b))
            for a, b in ((left.re, right.re), (left.im, right.im))
            if (a, b) != (None, None)
        ]
        return self.builder.apply("and", *tests) if len(tests) == 2 else tests[0]

    # Parts that may be zero by structure

    def _sum(self, left: Part, right: Part) -> Part:
        if left is None or right is None:
            return right if left is None else left
        return self.builder.apply("+", left, right)

    def _minus(self, part: Part) -> Part:
        return None if part is None else self.builder.apply("negative", part)

    def _times(self, left: Part, right: Part) -> Part:
        return None if left is None or right is None else self.builder.apply("*", left, right)

    def _square(self, value: Value) -> Part:
        return self._sum(self._times(value.re, value.re), self._times(value.im, value.im))

    def _parts(self, left: Value, right: Value, function: Callable[[Part, Part], Part]) -> Value:
        return Value(function(left.re, right.re), function(left.im, right.im), left.complex or right.complex)

    def _over(self, value: Value, divisor: int) -> Value:
        """A value divided by a real number."""
        if self.fused and value.re is not None and value.im is not None:
            return self.scale(value, self.builder.apply("/", self.builder.literal(1.0), divisor))
        re, im = (None if part is None else self.builder.apply("/", part, divisor) for part in (value.re, value.im))
        return Value(re, im, value.complex)

    def _polar(self, size: Part, angle: int) -> Value:
        cos, sin = self.builder.apply("cos", angle), self.builder.apply("sin", angle)
        return Value(cos, sin, complex=True) if size is None else self.scale(Value(cos, sin, complex=True), size)

    def _separated(self, value: Value, of_re: tuple[str, str], of_im: tuple[str, str]) -> Value:
        """f(a) g(b) + i p(a) q(b) for a + ib, where g(0) is 1 and q(0) is 0."""
        if value.im is None:
            return Value(self.builder.apply(of_re[0], self.part(value.re)), None, value.complex)
        re, im = (
            self._times(self._of(real, value.re), self._of(imaginary, value.im)) for real, imaginary in (of_re, of_im)
        )
        return Value(re, im, complex=True)

    def _of(self, name: str, part: Part) -> Part:
        return None if part is None and name in ("sin", "sinh") else self.builder.apply(name, self.part(part))

    def _four(self, angle: int, size: int) -> tuple[int, int, int, int]:
        apply = self.builder.apply
        return apply("sin", angle), apply("cos", angle), apply("sinh", size), apply("cosh", size)

    def _clamp(self, part: int) -> int:
        largest = self.builder.literal(LARGEST_HYPERBOLIC)
        return self.builder.apply(
            "max", self.builder.apply("min", part, largest), self.builder.apply("negative", largest)
        )
