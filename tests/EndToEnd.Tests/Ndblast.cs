using System.Buffers.Binary;
using System.Globalization;
using System.Reflection;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using NetdumpCollector.EndToEnd.Tests.Takeover;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The load generator of bench/tools, compiled once per run.</summary>
[UnsupportedOSPlatform("windows")]
internal static class Ndblast
{
    private static readonly Lazy<Task<string>> s_program = new(() => CompileAsync("ndblast"));

    public static bool HasCompiler { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(directory => File.Exists(Path.Combine(directory, "gcc")));

    /// <summary>Dumps to <paramref name="collector"/>; the exit code is 0 when every client was served to the end.</summary>
    public static async Task<CommandResult> RunAsync(Collector collector, Protocol.Ipv4 firstClient, params string[] arguments) =>
        await CommandResult.RunAsync(await s_program.Value,
            ["-a", collector.Address, "-P", collector.Port.ToString(CultureInfo.InvariantCulture), "--base", firstClient.ToString(), "--pattern", .. arguments]);

    /// <summary>Dumps from another network to a server's herald port.</summary>
    public static async Task<CommandResult> RunInAsync(NetworkNamespace network, string server, int port, Protocol.Ipv4 firstClient, params string[] arguments) =>
        await network.RunAsync([await s_program.Value, "-a", server, "-P", port.ToString(CultureInfo.InvariantCulture), "--base", firstClient.ToString(), "--pattern", .. arguments]);

    /// <summary>Has ndblast itself compare a file with what its client sent.</summary>
    public static async Task<CommandResult> VerifyAsync(string file, uint client, int kibibytes) =>
        await CommandResult.RunAsync(await s_program.Value, ["--verify", file, "--client", $"{client}", "-s", $"{kibibytes}K"]);

    /// <summary>SHA-256 of what client <paramref name="client"/> sends with --pattern.</summary>
    public static string HashOf(uint client, int kibibytes)
    {
        byte[] content = new byte[kibibytes * 1024];
        for (int offset = 0; offset < content.Length; offset += sizeof(ulong))
        {
            ulong word = ((ulong)offset >> 3) + ((ulong)(client + 1) << 42);
            word *= 0x9e3779b97f4a7c15;
            word ^= word >> 32;
            word *= 0xd6e8feb86659fd93;
            word ^= word >> 32;
            BinaryPrimitives.WriteUInt64LittleEndian(content.AsSpan(offset), word | 1);
        }

        return Convert.ToHexStringLower(SHA256.HashData(content));
    }

    /// <summary>Compiles one of bench/tools.</summary>
    /// <returns>The program's path.</returns>
    public static async Task<string> CompileAsync(string name, params string[] libraries)
    {
        string root = typeof(Ndblast).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "RepositoryRoot").Value!;
        string program = Path.Combine(AppContext.BaseDirectory, name);
        (await CommandResult.RunAsync("gcc", ["-std=c11", "-O2", "-pthread", "-o", program, Path.Combine(root, "bench", "tools", $"{name}.c"), .. libraries])).Expect(0);
        return program;
    }
}

/// <summary>A theory that needs ndblast; skipped where no compiler is, except in CI.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class NdblastTheoryAttribute : TheoryAttribute
{
    public NdblastTheoryAttribute()
    {
        if (!Ndblast.HasCompiler && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI")))
            Skip = "gcc is needed to compile bench/tools/ndblast.c";
    }
}
