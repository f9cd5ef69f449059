using Microsoft.Extensions.Logging;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Telemetry;

/// <summary>What the collector tells its operator; the first lines read as netdumpd's, event ids are stable.</summary>
public static partial class CollectorLog
{
    [LoggerMessage(1000, LogLevel.Information, "Waiting for clients.")]
    public static partial void Waiting(ILogger logger);

    [LoggerMessage(1001, LogLevel.Information, "New dump from client {Client} (to {File})")]
    public static partial void NewDump(ILogger logger, string client, string file);

    [LoggerMessage(1002, LogLevel.Information, "(KDH from {Client})")]
    public static partial void KdhFrom(ILogger logger, string client);

    [LoggerMessage(1003, LogLevel.Information, "Completed dump from client {Host} [{Client}] ({File}, {Bytes} bytes)")]
    public static partial void Completed(ILogger logger, string host, Ipv4 client, string file, ulong bytes);

    [LoggerMessage(1004, LogLevel.Warning, "Client {Client} timed out ({File}: {CoveredBytes} bytes arrived, {MissingBytes} known to be missing)")]
    public static partial void TimedOut(ILogger logger, Ipv4 client, string file, ulong coveredBytes, ulong missingBytes);

    [LoggerMessage(1005, LogLevel.Warning,
        "{Status} dump from client {Host} [{Client}] ({File}): {Reason}, {CoveredBytes} bytes arrived, {MissingBytes} known to be missing in {MissingRanges} ranges {Error}")]
    public static partial void NotComplete(ILogger logger, DumpStatus status, string host, Ipv4 client, string file, EndReason reason,
        ulong coveredBytes, ulong missingBytes, int missingRanges, string error);

    [LoggerMessage(1006, LogLevel.Error, "Dump from client {Host} [{Client}] could not be made durable: {Error}")]
    public static partial void CommitFailed(ILogger logger, string host, Ipv4 client, string error);

    [LoggerMessage(1007, LogLevel.Warning,
        "{Status} dump from client {Host} [{Client}] ({File}): {Reason}, stored {StoredBytes} of {KnownBytes} known bytes by policy {Policy} {Error}")]
    public static partial void Cut(ILogger logger, DumpStatus status, string host, Ipv4 client, string file, EndReason reason,
        ulong storedBytes, ulong knownBytes, string policy, string error);

    [LoggerMessage(1008, LogLevel.Warning, "Dump from client {Host} [{Client}] is stored ({File}), but bounds or a .last link does not lead to it: {Problem}")]
    public static partial void NotPointedTo(ILogger logger, string host, Ipv4 client, string file, string problem);

    [LoggerMessage(1010, LogLevel.Warning, "Path asked for by client {Client} is not usable: {Reason}")]
    public static partial void PathRefused(ILogger logger, string client, string reason);

    [LoggerMessage(1011, LogLevel.Error, "Cannot store the dump of client {Client}: {Error}; nothing more is acked until it can be stored")]
    public static partial void WriteError(ILogger logger, string client, string error);

    [LoggerMessage(1012, LogLevel.Information, "The dump of client {Client} can be stored again")]
    public static partial void WritesAgain(ILogger logger, string client);

    [LoggerMessage(1013, LogLevel.Warning, "Client {Client} repeated packet {Seqno} with other bytes ({Length} bytes at {Offset}); the first ones are kept, the manifest lists this and later cases")]
    public static partial void Damaged(ILogger logger, string client, uint seqno, ulong offset, int length);

    [LoggerMessage(1014, LogLevel.Warning, "No session port for client {Client}: {Error}; it is served from the herald port")]
    public static partial void ServedFromHeraldPort(ILogger logger, Ipv4 client, string error);

    [LoggerMessage(1015, LogLevel.Warning, "Client {Client} started a new dump; its earlier one ends as it is")]
    public static partial void Superseded(ILogger logger, Ipv4 client);

    [LoggerMessage(1016, LogLevel.Warning, "The file system of {Path} is slow: dumps on it are written by threads of their own, the others do not wait for them")]
    public static partial void FileSystemSlow(ILogger logger, string path);

    [LoggerMessage(1017, LogLevel.Information, "The file system of {Path} is quick again")]
    public static partial void FileSystemRecovered(ILogger logger, string path);

    [LoggerMessage(1020, LogLevel.Information, "Script {Script} for {File}: {Outcome}")]
    public static partial void ScriptEnded(ILogger logger, string script, string file, string outcome);

    [LoggerMessage(1021, LogLevel.Information, "Script for {File}: {Line}")]
    public static partial void ScriptOutput(ILogger logger, string file, string line);

    [LoggerMessage(1022, LogLevel.Error, "{Manifest}: {Error}")]
    public static partial void ManifestNotUpdated(ILogger logger, string manifest, string error);

    [LoggerMessage(1030, LogLevel.Error, "Hash of {File} failed: {Error}")]
    public static partial void HashFailed(ILogger logger, string file, string error);

    [LoggerMessage(1031, LogLevel.Information, "Deleted {File} ({Id}, {Bytes} bytes): {Reason}")]
    public static partial void Deleted(ILogger logger, string file, string id, long bytes, string reason);

    [LoggerMessage(1032, LogLevel.Error, "Retention: {Error}")]
    public static partial void DeletionFailed(ILogger logger, string error);

    [LoggerMessage(1034, LogLevel.Warning, "Retention leaves out what it cannot read: {Problem}")]
    public static partial void RetentionIsBlind(ILogger logger, string problem);

    [LoggerMessage(1035, LogLevel.Warning, "Room: {Wait}")]
    public static partial void RoomIsNotBack(ILogger logger, string wait);

    [LoggerMessage(1033, LogLevel.Warning, "Only the first bytes of the dump of client {Client} are kept: {Shortage}")]
    public static partial void HeadersOnly(ILogger logger, Ipv4 client, string shortage);

    [LoggerMessage(1040, LogLevel.Error, "Actor {Actor} failed")]
    public static partial void ActorFailed(ILogger logger, string actor, Exception failure);

    [LoggerMessage(1041, LogLevel.Debug, "Dead letter for {Actor}: {MessageType}")]
    public static partial void DeadLetter(ILogger logger, string actor, string messageType);

    [LoggerMessage(1050, LogLevel.Information, "Listening on {Address}:{Port} ({Transport}, {Endpoint} endpoints), dumps go to {Directory}")]
    public static partial void Listening(ILogger logger, Ipv4 address, ushort port, string transport, string endpoint, string directory);

    [LoggerMessage(1051, LogLevel.Warning, "The herald socket got a receive buffer of {Granted} bytes instead of {Asked}; raise net.core.rmem_max, or heralds may be lost when many hosts panic at once")]
    public static partial void SmallReceiveBuffer(ILogger logger, int granted, int asked);

    [LoggerMessage(1052, LogLevel.Information, "Continuing the dump of client {Client} ({File}, {CoveredBytes} bytes so far)")]
    public static partial void Resumed(ILogger logger, Ipv4 client, string file, ulong coveredBytes);

    [LoggerMessage(1057, LogLevel.Warning, "The dump of client {Client} cannot be continued: {Reason}; it ends as incomplete when its time is over")]
    public static partial void NotResumed(ILogger logger, Ipv4 client, string reason);

    [LoggerMessage(1058, LogLevel.Error, "Left as it is: {Problem}")]
    public static partial void LeftAsItIs(ILogger logger, string problem);

    [LoggerMessage(1059, LogLevel.Warning, "The state of the dump of client {Client} cannot be saved ({Error}); what a restart of the collector would lose is not acked, and the client sends it again")]
    public static partial void StateNotSaved(ILogger logger, string client, string error);

    [LoggerMessage(1056, LogLevel.Warning, "The limit of open files (ulimit -n, LimitNOFILE) is enough for {Affordable} dumps at one time, not for {Wanted}")]
    public static partial void FewDescriptors(ILogger logger, int wanted, int affordable);

    [LoggerMessage(1060, LogLevel.Warning, "{Finding}")]
    public static partial void AccessOfOthers(ILogger logger, string finding);

    [LoggerMessage(1061, LogLevel.Error, "Event loop {Loop} has not answered for {Seconds} s; the service manager's watchdog restarts the collector when it stays so")]
    public static partial void LoopDoesNotAnswer(ILogger logger, int loop, double seconds);

    [LoggerMessage(1053, LogLevel.Information, "Shutting down...")]
    public static partial void ShuttingDown(ILogger logger);

    [LoggerMessage(1054, LogLevel.Error, "Not everything ended within {Seconds} s; what arrived is in the dump directory")]
    public static partial void ShutdownTimedOut(ILogger logger, double seconds);

    [LoggerMessage(1018, LogLevel.Warning, "The setting {Setting} ({Source}) does nothing without {Missing}")]
    public static partial void SettingIdle(ILogger logger, string setting, string source, string missing);

    [LoggerMessage(1064, LogLevel.Warning, "Scripts that have not ended: {Count} ({Files}); those that run are left running, and the next start runs them again")]
    public static partial void ScriptsNotEnded(ILogger logger, int count, string files);

    [LoggerMessage(1055, LogLevel.Information, "Receiving {Dumps} dumps: {MegaBytes} MB in all, {MegaBytesPerSecond} MB/s")]
    public static partial void Progress(ILogger logger, long dumps, long megaBytes, long megaBytesPerSecond);

    [LoggerMessage(1070, LogLevel.Information, "Metrics and health on {Url}")]
    public static partial void HttpServed(ILogger logger, string url);

    [LoggerMessage(1071, LogLevel.Warning, "No HTTP on {Address}: {Error}; dumps are received all the same (--http names another address, or off)")]
    public static partial void HttpNotServed(ILogger logger, string address, string error);

    [LoggerMessage(1074, LogLevel.Warning, "HTTP on {Address} {Gap}")]
    public static partial void HttpIsOpen(ILogger logger, string address, string gap);

    [LoggerMessage(1080, LogLevel.Information, "Token file {File} has been read again: {Count} tokens")]
    public static partial void TokensRead(ILogger logger, string file, int count);

    [LoggerMessage(1081, LogLevel.Error, "{Problem}; the {Count} tokens from before stay, and the file is read again when it changes; dumps are received all the same")]
    public static partial void TokensKept(ILogger logger, string problem, int count);

    [LoggerMessage(1082, LogLevel.Warning, "HTTP: {Address} ({Who}) was denied {Method} {Path}: {Reason} ({Count} so far)")]
    public static partial void Denied(ILogger logger, string address, string who, string method, string path, DeniedReason reason, long count);

    [LoggerMessage(1083, LogLevel.Error, "Audit log {File} cannot be written: {Problem}; dumps are neither read nor changed over HTTP until it can")]
    public static partial void AuditFails(ILogger logger, string file, string problem);

    [LoggerMessage(1084, LogLevel.Information, "Audit log {File} can be written again")]
    public static partial void AuditWorksAgain(ILogger logger, string file);

    [LoggerMessage(1085, LogLevel.Information, "HTTP's certificate {File} has been read: {Subject}, until {Until}")]
    public static partial void CertificateRead(ILogger logger, string file, string subject, string until);

    [LoggerMessage(1086, LogLevel.Error, "{Problem}; HTTP keeps the certificate that it has")]
    public static partial void CertificateKept(ILogger logger, string problem);

    [LoggerMessage(1087, LogLevel.Error, "HTTP: {Method} {Path} failed")]
    public static partial void RequestFailed(ILogger logger, string method, string path, Exception failure);

    [LoggerMessage(1072, LogLevel.Warning, "Webhook {Receiver}: {Problem}; {Consequence}")]
    public static partial void WebhookFails(ILogger logger, string receiver, string problem, string consequence);

    [LoggerMessage(1073, LogLevel.Information, "Webhook {Receiver} takes events again")]
    public static partial void WebhookWorksAgain(ILogger logger, string receiver);

    [LoggerMessage(1090, LogLevel.Warning, "OpenTelemetry: {Problem}; dumps are received all the same ({More} more such complaints since the line before)")]
    public static partial void OtlpFails(ILogger logger, string problem, long more);

    [LoggerMessage(1063, LogLevel.Error, "The dump of client {Client} is lost, there were no files for it: {Error}")]
    public static partial void Lost(ILogger logger, string client, string error);

    [LoggerMessage(1062, LogLevel.Warning, "libzstd.so.1 is not there: the panic messages of dumps that the kernel compressed with zstd cannot be read, such dumps are stored whole")]
    public static partial void NoZstd(ILogger logger);

    [LoggerMessage(1160, LogLevel.Information, "The dump of client {Client} goes on at another node ({File})")]
    public static partial void TakenOver(ILogger logger, string client, string file);

    [LoggerMessage(1161, LogLevel.Error, "The dump of client {Client} cannot be put on the device ({Error}): it is continued from what is, as soon as that is possible")]
    public static partial void SharedNotDurable(ILogger logger, string client, string error);

    [LoggerMessage(1108, LogLevel.Information, "Catalogue {Catalogue} takes what node {Node} tells")]
    public static partial void CatalogueUp(ILogger logger, string catalogue, string node);

    [LoggerMessage(1101, LogLevel.Warning, "Catalogue {Catalogue}: {Problem}; dumps are received all the same, and the catalogue is told when it answers")]
    public static partial void CatalogueDown(ILogger logger, string catalogue, string problem);

    [LoggerMessage(1102, LogLevel.Error, "Another live node is called {Node} as well: nothing of this one is in the catalogue; give each node a --node of its own")]
    public static partial void NodeNameTaken(ILogger logger, string node);

    [LoggerMessage(1103, LogLevel.Warning, "Outbox {Damage}; the dump directory is compared with the catalogue instead")]
    public static partial void OutboxDamaged(ILogger logger, string damage);

    [LoggerMessage(1104, LogLevel.Warning, "Fleet: {Problem}")]
    public static partial void OutboxFails(ILogger logger, string problem);

    [LoggerMessage(1105, LogLevel.Error, "The outbox is full: the catalogue learns of dump {DumpId} when it answers and is compared with the dump directory")]
    public static partial void OutboxFull(ILogger logger, string dumpId);

    [LoggerMessage(1106, LogLevel.Error, "The catalogue refuses dump {DumpId}: {Problem}; the dump itself is not touched by that")]
    public static partial void CatalogueRefuses(ILogger logger, string dumpId, string problem);

    [LoggerMessage(1109, LogLevel.Warning, "Node {Other} answers address {Address} as well and has another dump directory: with --takeover neither goes on with the other's dumps; mount one directory on both")]
    public static partial void OtherDirectory(ILogger logger, string other, string address);

    [LoggerMessage(1107, LogLevel.Information, "The catalogue differed from the dump directory in {Dumps} dumps and has been told of them")]
    public static partial void CatalogueReconciled(ILogger logger, int dumps);
}
