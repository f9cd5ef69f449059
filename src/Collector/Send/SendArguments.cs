using System.CommandLine;
using System.Globalization;
using System.Text;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Send;

/// <summary>The options of <c>send</c> and how they become <see cref="SendOptions"/>.</summary>
internal sealed class SendArguments
{
    /// <summary>First source address of clients that dump to a loopback address; all of 127/8 is local.</summary>
    private static readonly Ipv4 s_loopbackSource = new(0x7f100001);

    private const int MaxClients = 100_000;
    private const int MaxPayloadBytes = 65507 - MessageHeader.SizeBytes;
    private const string Probability = "a probability from 0 to 1, such as 0.01";

    private readonly Argument<string?> _file = PositionalArgument.Create("FILE", required: false, "File to send, such as a vmcore.");
    private readonly ValueOption<long> _synthetic = new("--synthetic", "SIZE", ByteSize.TryParse, null, ByteSize.Allowed,
        "Send a made-up minidump of this size instead of a file; each client's is different.");
    private readonly ValueOption<Ipv4> _server = new("--server", "ADDR", TryHost, null, "an IPv4 address such as 192.0.2.1",
        "The collector's address. Required.");
    private readonly ValueOption<ushort> _port = new("--port", "PORT", SettingValues.Port(1), $"{WellKnown.HeraldPort}", "a port number from 1 to 65535",
        "The collector's port.");
    private readonly ValueOption<ushort> _clientPort = new("--client-port", "PORT", SettingValues.Port(1), $"{WellKnown.ClientPort}", "a port number from 1 to 65535",
        "Port of the clients.");
    private readonly ValueOption<int> _clients = new("--clients", "N", SettingValues.Whole(1, MaxClients), "1", "a number from 1 to 100000",
        "Clients that dump at the same time, each from its own address.");
    private readonly ValueOption<Ipv4?> _from = new("--from", "ADDR", TryHost, null, "an IPv4 address of this machine",
        "Source address of the first client, the others' follow it. [default: 127.16.0.1 for a loopback server, else the system's choice]");
    private readonly ValueOption<int> _payload = new("--payload", "BYTES", SettingValues.Whole(KernelDumpHeader.SizeBytes, MaxPayloadBytes), "1448", "bytes from 512 to 65483",
        "Dump bytes of a full packet: MTU - 52; the header's 512 bytes must fit.");
    private readonly ValueOption<string> _path = new("--path", "PATH", TryHeraldPath, "", "at most 1023 bytes without NUL",
        "Subdirectory to ask the collector for, as net.netdump.path does.");
    private readonly ValueOption<string> _panic = new("--panic", "TEXT", TryText, "fire drill", "text without NUL",
        "Panic string, in header and message buffer.");
    private readonly ValueOption<string> _host = new("--host", "NAME", TryText, "fire-drill", "text without NUL",
        "Host name in the header, with -NUMBER behind it when there are more clients.");
    private readonly ValueOption<DumpCompression> _compress = new("--compress", "none|gzip|zstd", SettingValues.TryChoice, null, "none, gzip, zstd",
        "Compression the header tells; the content stays as it is. [default: none]");
    private readonly ValueOption<string?> _key = new("--key", "FILE", SettingValues.TryOptionalPath, null, "a file path",
        "Key blob to send, such as a key file from an encrypted dump.");
    private readonly ValueOption<KernelEra> _order = new("--order", "13|12", TryEra, null, "13, 12",
        "Order of messages and payload limit of FreeBSD 13 and later, or of 12. [default: 13]");
    private readonly Option<bool> _kernel = Flag("--kernel", "Be as slow and as wrong as a kernel: 0.5 ms polls, short first burst, acks in a 32-bit bitmap, buffer reused while packets are queued.");
    private readonly ValueOption<double> _loss = new("--loss", "P", TryProbability, null, Probability, "Lose this share of packets, both ways.");
    private readonly ValueOption<double> _duplicate = new("--duplicate", "P", TryProbability, null, Probability, "Duplicate this share of packets, both ways.");
    private readonly ValueOption<double> _reorder = new("--reorder", "P", TryProbability, null, Probability, "Delay this share of packets, both ways.");
    private readonly ValueOption<int> _seed = new("--seed", "N", SettingValues.Whole(0, int.MaxValue), "1", "a number from 0 to 2147483647",
        "Picks which packets are lost, duplicated and delayed.");
    private readonly ValueOption<int> _retransmitMs = new("--rto-ms", "MS", SettingValues.Whole(1, 60_000), "1000", "milliseconds from 1 to 60000",
        "Time before unacked packets are sent again.");
    private readonly Option<bool> _noFinish = Flag("--no-finish", "End after the header without FINISHED, as a kernel whose earlier attempt failed.");

    public SendArguments(Command command)
    {
        command.Add(_file);
        foreach (var option in (ReadOnlySpan<Option>)[
            _synthetic, _server, _port, _clientPort, _clients, _from, _payload, _path, _panic, _host, _compress, _key, _order,
            _kernel, _loss, _duplicate, _reorder, _seed, _retransmitMs, _noFinish])
            command.Add(option);
    }

    /// <exception cref="UsageException">The options do not go together, or the key file cannot be read.</exception>
    public SendOptions Read(ParseResult parseResult)
    {
        string? file = parseResult.GetValue(_file);
        long syntheticBytes = _synthetic.Read(parseResult);
        if (file is null == (syntheticBytes == 0))
            throw new UsageException("send needs either FILE or --synthetic SIZE");

        var server = _server.Read(parseResult);
        if (server == Ipv4.Any)
            throw new UsageException("--server: missing; allowed: an IPv4 address such as 192.0.2.1");

        int clients = _clients.Read(parseResult);
        var from = _from.Read(parseResult) ?? (IsLoopback(server) ? s_loopbackSource : Ipv4.Any);
        if (clients > 1 && from == Ipv4.Any)
            throw new UsageException($"--clients: {clients} clients need as many source addresses of this machine; give the first one by --from ADDR");
        if (from.Value > uint.MaxValue - (uint)clients)
            throw new UsageException($"--from: {clients} addresses from {from} on do not exist");

        return new()
        {
            File = file,
            SyntheticBytes = syntheticBytes,
            Server = server,
            Port = _port.Read(parseResult),
            ClientPort = _clientPort.Read(parseResult),
            Clients = clients,
            From = from,
            PayloadBytes = _payload.Read(parseResult),
            HeraldPath = _path.Read(parseResult)!,
            Panic = _panic.Read(parseResult)!,
            Host = _host.Read(parseResult)!,
            Compression = _compress.Read(parseResult),
            Key = _key.Read(parseResult) is string keyPath ? ReadKey(keyPath) : default,
            Era = _order.Read(parseResult),
            Kernel = parseResult.GetValue(_kernel),
            Faults = new(_loss.Read(parseResult), _duplicate.Read(parseResult), _reorder.Read(parseResult)),
            Seed = _seed.Read(parseResult),
            RetransmitMs = _retransmitMs.Read(parseResult),
            Finish = !parseResult.GetValue(_noFinish),
        };
    }

    private static byte[] ReadKey(string path)
    {
        try
        {
            byte[] key = File.ReadAllBytes(path);
            return key.Length is > 0 and <= WellKnown.BurstBytes
                ? key
                : throw new UsageException($"--key: \"{path}\" has {key.Length} bytes; allowed: a file of 1 to {WellKnown.BurstBytes} bytes");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--key: cannot read \"{path}\": {exception.Message}");
        }
    }

    private static Option<bool> Flag(string name, string help) => new(name) { Description = help, Arity = ArgumentArity.Zero };

    private static bool IsLoopback(Ipv4 address) => address.Value >> 24 == 127;

    private static bool TryHost(string text, out Ipv4 value) => Ipv4.TryParse(text, out value) && value != Ipv4.Any;

    private static bool TryHost(string text, out Ipv4? value)
    {
        bool parsed = TryHost(text, out Ipv4 address);
        value = parsed ? address : null;
        return parsed;
    }

    private static bool TryText(string text, out string value)
    {
        value = text;
        return !text.Contains('\0', StringComparison.Ordinal);
    }

    private static bool TryHeraldPath(string text, out string value) =>
        TryText(text, out value) && Encoding.UTF8.GetByteCount(text) < KernelClientOptions.MaxHeraldPathBytes;

    private static bool TryEra(string text, out KernelEra value)
    {
        value = text == "12" ? KernelEra.FreeBsd12 : KernelEra.FreeBsd13;
        return text is "12" or "13";
    }

    private static bool TryProbability(string text, out double value) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out value) && value is >= 0 and <= 1;
}
