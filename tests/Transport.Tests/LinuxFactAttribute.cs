namespace NetdumpCollector.Transport.Tests;

/// <summary>A fact about the Linux transport, skipped where it does not work.</summary>
internal sealed class LinuxFactAttribute : FactAttribute
{
    public LinuxFactAttribute()
    {
        if (!Transports.TryGet("linux", out _))
            Skip = "The Linux transport does not work here.";
    }
}
