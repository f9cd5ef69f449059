using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Collector.Settings;

/// <summary>Where HTTP is answered.</summary>
/// <param name="EndPoint">Address and port, 0 for one that the system picks; null for nowhere.</param>
internal sealed record HttpBinding(IPEndPoint? EndPoint)
{
    public const string Allowed = "off, or ADDRESS:PORT such as 127.0.0.1:9464, 0.0.0.0:9464 or [::1]:9464";

    private const string OffText = "off";

    public static HttpBinding Off { get; } = new(EndPoint: null);

    public static bool TryParse(string text, [MaybeNullWhen(false)] out HttpBinding value)
    {
        value = Off;
        if (text == OffText)
            return true;

        value = null;
        // An address alone would be port 0 for the library, and that is never meant.
        int colon = text.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port))
            return false;
        string address = text[..colon];
        bool isBracketed = address.StartsWith('[') && address.EndsWith(']');
        // The library takes a plain number for an address as well.
        if (!isBracketed && !Ipv4.TryParse(address, out _))
            return false;
        if (!IPAddress.TryParse(isBracketed ? address[1..^1] : address, out var parsed) || isBracketed != (parsed.AddressFamily == AddressFamily.InterNetworkV6))
            return false;
        value = new(new IPEndPoint(parsed, port));
        return true;
    }

    public override string ToString() => EndPoint?.ToString() ?? OffText;
}
