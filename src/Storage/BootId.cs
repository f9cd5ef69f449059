namespace NetdumpCollector.Storage;

/// <summary>Tells one boot of this machine from another.</summary>
internal static class BootId
{
    /// <summary>The kernel's random boot id; empty where the system has none.</summary>
    public static readonly Guid Current = Read();

    private static Guid Read()
    {
        try
        {
            return Guid.TryParse(File.ReadAllText("/proc/sys/kernel/random/boot_id").AsSpan().Trim(), out var id) ? id : Guid.Empty;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Guid.Empty;
        }
    }
}
