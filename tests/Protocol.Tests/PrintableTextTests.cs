using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Protocol.Tests;

public sealed class PrintableTextTests
{
    [Theory]
    [InlineData("panic: page fault", "panic: page fault")]
    [InlineData("größe 漢字 😀", "größe 漢字 😀")]
    [InlineData("", "")]
    public void Printable_text_stays_as_it_is(string text, string expected) => Assert.Equal(expected, PrintableText.From(Encoding.UTF8.GetBytes(text)));

    [Theory]
    [InlineData("line\n", "line")]
    [InlineData("line\r\n\n", "line")]
    [InlineData("one\ntwo\n", "one\\x0atwo")]
    public void Line_ends_are_dropped_at_the_end_and_escaped_inside(string text, string expected) =>
        Assert.Equal(expected, PrintableText.From(Encoding.UTF8.GetBytes(text)));

    [Fact]
    public void A_terminal_escape_sequence_is_escaped() => Assert.Equal("\\x1b[2J", PrintableText.From("\x1b[2J"u8));

    [Fact]
    public void Bytes_that_are_not_UTF8_are_escaped_one_by_one() => Assert.Equal("a\\xff\\xc3b", PrintableText.From([(byte)'a', 0xff, 0xc3, (byte)'b']));

    [Fact]
    public void Characters_that_turn_the_reading_direction_are_escaped() => Assert.Equal("a\\xe2\\x80\\xaeb", PrintableText.From("a\u202eb"u8));

    [Fact]
    public void Unicode_line_separators_are_escaped() => Assert.Equal("a\\xe2\\x80\\xa8b\\xc2\\x85c", PrintableText.From("a\u2028b\u0085c"u8));

    [Fact]
    public void Any_bytes_become_text_without_control_characters() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes => IsPrintable(PrintableText.From(bytes))).QuickCheckThrowOnFailure();

    /// <summary>Well-formed UTF-16 in which nothing controls a terminal or the reading direction.</summary>
    internal static bool IsPrintable(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (!Rune.TryGetRuneAt(text, i, out var rune))
                return false;
            if (Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
                return false;
            i += rune.Utf16SequenceLength - 1;
        }

        return true;
    }
}
