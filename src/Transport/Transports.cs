using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using NetdumpCollector.Transport.Linux;
using NetdumpCollector.Transport.Portable;

namespace NetdumpCollector.Transport;

/// <summary>The kinds of transport that work on this machine.</summary>
public static class Transports
{
    /// <summary>All that work here, the best first.</summary>
    public static IReadOnlyList<ITransport> Available { get; } = HasLinuxCalls
        ? [new LinuxTransport(), new PortableTransport()]
        : [new PortableTransport()];

    /// <summary>The best that works here.</summary>
    public static ITransport Default => Available[0];

    /// <summary>Finds one of <see cref="Available"/> by its <see cref="ITransport.Name"/>.</summary>
    public static bool TryGet(string name, [NotNullWhen(true)] out ITransport? transport)
    {
        transport = Available.FirstOrDefault(candidate => candidate.Name == name);
        return transport is not null;
    }

    // The layouts of the structures passed to the kernel are checked for these two architectures only.
    private static bool HasLinuxCalls =>
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture is (Architecture.X64 or Architecture.Arm64);
}
