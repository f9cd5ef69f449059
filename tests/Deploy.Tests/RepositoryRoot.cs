using System.Reflection;

namespace NetdumpCollector.Deploy.Tests;

internal static class RepositoryRoot
{
    private static readonly string s_path =
        typeof(RepositoryRoot).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "RepositoryRoot").Value!;

    public static string File(string path) => Path.Combine(s_path, path);

    public static string Read(string path) => System.IO.File.ReadAllText(File(path));
}
