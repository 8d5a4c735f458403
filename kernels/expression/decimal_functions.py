"""Real functions in decimal arithmetic, to the precision of the current context.

Owns the functions that Python's decimal module lacks, each right to within a few units of the last place. Must never
raise for a value outside a function's domain: the result is NaN.
"""

from collections.abc import Callable
from decimal import Decimal, getcontext, localcontext
from functools import lru_cache, wraps

GUARD_DIGITS = 12

# The reduction of an angle works with as many more digits as the angle has before the point; beyond, NaN
LARGEST_ANGLE = 200

# exp(10**7) and beyond leaves the range of exponents in use
LARGEST_EXPONENT_DIGITS = 7

# Up to here an integer power is exact repeated squaring; beyond, exp(y*log(x))
LARGEST_SQUARING = 10**6

_NAN = Decimal("NaN")
_ZERO = Decimal(0)
_ONE = Decimal(1)


def _with_guard_digits(function: Callable[..., Decimal]) -> Callable[..., Decimal]:
    """Work with more digits than the context has, and round once at the end."""

    @wraps(function)
    def guarded(*operands: Decimal) -> Decimal:
        with localcontext() as context:
            context.prec += GUARD_DIGITS
            result = function(*operands)
        return +result

    return guarded


def pi() -> Decimal:
    """The ratio of a circle's circumference to its diameter."""
    return +_pi(getcontext().prec + GUARD_DIGITS)


@lru_cache(maxsize=8)
def _pi(precision: int) -> Decimal:
    """Pi by the iteration of Gauss and Legendre, which doubles the digits at every step."""
    with localcontext() as context:
        context.prec = precision + GUARD_DIGITS
        mean, geometric = _ONE, 1 / Decimal(2).sqrt()
        rest, weight = Decimal("0.25"), _ONE
        for _ in range(precision.bit_length() + 2):
            following = (mean + geometric) / 2
            geometric = (mean * geometric).sqrt()
            rest -= weight * (mean - following) ** 2
            mean, weight = following, 2 * weight
        return (mean + geometric) ** 2 / (4 * rest)


@_with_guard_digits
def sin(angle: Decimal) -> Decimal:
    """The sine of an angle in radians."""
    return _sin_from_quarter(*_quarter(angle))


@_with_guard_digits
def cos(angle: Decimal) -> Decimal:
    """The cosine of an angle in radians."""
    rest, quarter = _quarter(angle)
    return _sin_from_quarter(rest, quarter + 1)


@_with_guard_digits
def tan(angle: Decimal) -> Decimal:
    """The tangent of an angle in radians."""
    rest, quarter = _quarter(angle)
    return _sin_from_quarter(rest, quarter) / _sin_from_quarter(rest, quarter + 1)


def _quarter(angle: Decimal) -> tuple[Decimal, int]:
    """The nearest multiple of pi/2, counted modulo 4, and what is left of the angle, right to all digits."""
    if not angle.is_finite() or angle.adjusted() > LARGEST_ANGLE:
        return _NAN, 0
    if abs(angle) < Decimal("0.7"):
        return angle, 0
    with localcontext() as context:
        wanted = context.prec + max(angle.adjusted(), 0)
        context.prec = wanted
        count, rest = _split(angle)

        # Repeat with the digits that an angle close to a multiple has lost; it has finitely many, and pi has not
        while context.prec < wanted - rest.adjusted():
            context.prec = wanted - rest.adjusted()
            count, rest = _split(angle)
        return rest, int(count % 4)


def _split(angle: Decimal) -> tuple[Decimal, Decimal]:
    quarter = _pi(getcontext().prec) / 2
    count = (angle / quarter).to_integral_value()
    return count, angle - count * quarter


def _sin_from_quarter(rest: Decimal, quarter: int) -> Decimal:
    """sin(rest + quarter * pi/2) for abs(rest) < 0.8."""
    if quarter % 2:
        half = _sin_of_small(rest / 2)
        result = 1 - 2 * half * half
    else:
        result = _sin_of_small(rest)
    return -result if quarter % 4 > 1 else result


def _sin_of_small(angle: Decimal) -> Decimal:
    """The sine by its series at angle/3**n, undone by sin(3x) = 3 sin(x) - 4 sin(x)**3; n is about sqrt(digits)."""
    if not angle.is_finite():
        return _NAN
    if not angle:
        return angle
    with localcontext() as context:
        num_thirds = max(0, int(context.prec**0.5) + 2 * angle.adjusted())
        context.prec += num_thirds // 2 + GUARD_DIGITS
        term = total = angle / Decimal(3) ** num_thirds
        square = -term * term
        index = 1
        while term and term.adjusted() > total.adjusted() - context.prec:
            term = term * square / ((index + 1) * (index + 2))
            total += term
            index += 2
        for _ in range(num_thirds):
            total = total * (3 - 4 * total * total)
        return total


@_with_guard_digits
def sinh(value: Decimal) -> Decimal:
    """The hyperbolic sine."""
    if not value.is_finite() or value.adjusted() < -getcontext().prec:
        return value
    _keep_small_digits(value)
    growth = exp(value)
    return (growth - 1 / growth) / 2


@_with_guard_digits
def cosh(value: Decimal) -> Decimal:
    """The hyperbolic cosine."""
    growth = exp(abs(value))
    return (growth + 1 / growth) / 2


@_with_guard_digits
def tanh(value: Decimal) -> Decimal:
    """The hyperbolic tangent."""
    if value.is_nan() or value.adjusted() < -getcontext().prec:
        return value
    if value.is_infinite() or value.adjusted() >= LARGEST_EXPONENT_DIGITS:
        return _ONE.copy_sign(value)
    _keep_small_digits(value)
    growth = exp(2 * value)
    return (growth - 1) / (growth + 1)


def _keep_small_digits(value: Decimal) -> None:
    """Widen the current context by the digits that exp(x) - 1 loses for a small x."""
    getcontext().prec += max(0, -value.adjusted())


def exp(value: Decimal) -> Decimal:
    """The exponential; 0 or infinity beyond the range of exponents."""
    if value.is_finite() and value and value.adjusted() >= LARGEST_EXPONENT_DIGITS:
        return _ZERO if value < 0 else Decimal("Infinity")
    return value.exp()


def arg(value: Decimal) -> Decimal:
    """The argument of a real number: 0, or pi where it is negative."""
    if value.is_nan():
        return value
    return pi() if value < 0 else _ZERO


@_with_guard_digits
def power(base: Decimal, exponent: Decimal) -> Decimal:
    """The real power; NaN for a negative base with an exponent that is not an integer; x**0 is 1 for every x."""
    if exponent.is_zero() or base == 1:
        return _ONE
    if base.is_nan() or exponent.is_nan():
        return _NAN
    integral = exponent.is_infinite() or exponent == exponent.to_integral_value()
    if base < 0 and not integral:
        return _NAN
    negative = base < 0 and _is_odd(exponent)
    if base.is_zero() or base.is_infinite() or exponent.is_infinite():
        grows = (abs(base) > 1) == (exponent > 0) and abs(base) != 1
        size = Decimal("Infinity") if grows else _ONE if abs(base) == 1 else _ZERO
    elif integral and abs(exponent) <= LARGEST_SQUARING:
        return base**exponent
    else:
        getcontext().prec += LARGEST_EXPONENT_DIGITS
        size = exp(exponent * abs(base).ln())
    return -size if negative else size


def _is_odd(value: Decimal) -> bool:
    """Whether an integer is odd; one with more digits than the context ends in zeros."""
    return value.is_finite() and value.adjusted() < getcontext().prec and value % 2 != 0
