namespace NetdumpCollector.Collector;

internal static class Program
{
    private static int Main() => 0;
}
