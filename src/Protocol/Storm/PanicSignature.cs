using System.Globalization;
using System.Text;

namespace NetdumpCollector.Protocol.Storm;

/// <summary>Makes panic messages of the same bug equal: what differs from host to host becomes a <c>?</c>.</summary>
/// <remarks>
/// That are addresses, numbers, and the number at the end of a name (nvme0, cpu3). What tells bugs apart stays: digits inside a name (ip6_output), and the
/// line of a source file, as in "Assertion … failed at /usr/src/sys/kern/vfs_subr.c:1234".
/// </remarks>
public static class PanicSignature
{
    /// <summary>A bare word of so many hexadecimal digits is an address.</summary>
    private const int MinAddressDigits = 8;

    /// <summary>Reads a message as <see cref="Minidump.PanicPeek.Message"/> has it.</summary>
    public static string Of(string message)
    {
        var signature = new StringBuilder(message.Length);
        for (int at = 0; at < message.Length;)
        {
            int end = at;
            while (end < message.Length && IsOfWord(message[end]))
                end++;
            if (end == at)
                signature.Append(message[at++]);
            else
                AppendWord(signature, message.AsSpan(0, at), message.AsSpan(at, end - at));
            at = Math.Max(at, end);
        }

        return signature.ToString();
    }

    private static void AppendWord(StringBuilder signature, ReadOnlySpan<char> before, ReadOnlySpan<char> word)
    {
        if (IsAddress(word))
        {
            signature.Append('?');
            return;
        }

        var name = word.TrimEnd("0123456789");
        bool isSourceLine = name.IsEmpty && (before.EndsWith(".c:") || before.EndsWith(".h:"));
        signature.Append(isSourceLine ? word : name);
        if (!isSourceLine && name.Length < word.Length)
            signature.Append('?');
    }

    private static bool IsAddress(ReadOnlySpan<char> word)
    {
        var digits = word.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? word[2..] : word;
        return (digits.Length < word.Length || (digits.Length >= MinAddressDigits && digits.ContainsAnyInRange('0', '9')))
            && digits.Length > 0
            && ulong.TryParse(digits.Length > 16 ? digits[..16] : digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out _);
    }

    private static bool IsOfWord(char c) => char.IsAsciiLetterOrDigit(c) || c == '_';
}
