namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whose rights all of this was looked at with.</summary>
internal static class PrivilegesCheck
{
    private const string Subject = "user";

    public static IEnumerable<Finding> Look() => [Judge(Environment.UserName, Environment.IsPrivilegedProcess)];

    public static Finding Judge(string user, bool isRoot) => isRoot
        ? new(FindingLevel.Warning, Subject, $"{user}: what is said here holds for root, and a service that runs as another user may be refused what root is not; a collector takes what strangers send and needs no root",
            "sudo -u netdump netdump-collector doctor --config /etc/netdump-collector.json")
        : new(FindingLevel.Ok, Subject, $"{user}; what is said here holds for this user");
}
