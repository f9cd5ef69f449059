using NetdumpCollector.Collector.Cli;
namespace NetdumpCollector.Collector.Dumps;
internal static class DumpsVerb { public static DocumentedCommand Create(CommandIo io) => new("dumps", "x" + io, new() { Examples = [] } ); }
