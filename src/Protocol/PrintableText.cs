using System.Globalization;
using System.Text;

namespace NetdumpCollector.Protocol;

/// <summary>Makes bytes from the wire fit for terminals, logs and text files.</summary>
public static class PrintableText
{
    /// <summary>Decodes UTF-8; what is not UTF-8 and control characters become <c>\xNN</c>, trailing line ends are dropped.</summary>
    public static string From(ReadOnlySpan<byte> bytes)
    {
        bytes = bytes.TrimEnd("\r\n"u8);
        var text = new StringBuilder(bytes.Length);
        while (!bytes.IsEmpty)
        {
            bool decoded = Rune.DecodeFromUtf8(bytes, out var rune, out int used) == System.Buffers.OperationStatus.Done;
            if (decoded && !Rune.IsControl(rune) && Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator))
                text.Append(rune.ToString());
            else
                foreach (byte b in bytes[..used])
                    text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
            bytes = bytes[used..];
        }

        return text.ToString();
    }
}
